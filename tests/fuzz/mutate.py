"""Mutations of bytes, JSON values and words; each follows from the random source alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Mutation = Callable[[bytes, Random], bytes]

TOKENS = (
    b'"', b'""', b",", b";", b"\t", b"|", b"\r", b"\r\n", b"\n", b"\n\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3",
    b"'", b"\\", b"-", b"nan", b"inf", b"1e400", b"-0", b"9" * 400, b"0x1F", b"None", b"true", b"2016-02-30 25:61:61",
    b"12:60 AM", b"0000-00-00 00:00:00", b"99999-01-01 00:00:00", b"=cmd|' /C calc'!A0", b"[bold]x[/]", b"\x1b[31m",
    "١٢".encode(), "\u202e".encode(), b"," * 50, b"x" * 140_000,
)  # fmt: skip

WORDS = (
    "", " ", "-1", "0", "1", "5", "0.1", "1e400", "nan", "inf", "-inf", "1e-320", "9" * 30, str(2**63), str(-(2**63)),
    "0x10", "1_000", "١٢", "\uff19", "1,5", "true", "None", "null", "*", "**", "?", "[", "[bold]x", "[/]", "-", "--",
    "--help",
    "../..", "/", "/proc/self/mem", "/dev/null", "~", "~nobody/x", "a" * 5000, "x" * 300 + ".parquet", "7-10",
    "22-4", "7-10,16-19", "07:30-09:00", "24-25", "mon-fri", "Mon\u2013Friday", "sat,sun", "2026-13-45", "2026-02-01",
    "https://example.org/a.parquet", "s3://bucket/key", "file:///etc/passwd", "\x1b[31mred", "a\r\nb", "\udcff.csv",
    "münchen.csv", "sklearn", "grid", "auto", "pickup", "both", "overall_score", "out.csv", "out.parquet", "out.npy",
    "20260131T020304Z-ab12cd34", "no/such/folder/out.csv", ".", "{}", "[1, 2", '{"a": 1}', "\t", "\u202eabc",
)  # fmt: skip

NUMBERS: tuple[Json, ...] = (
    0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, float("nan"), float("inf"), True,
)  # fmt: skip


def mutated(content: bytes, random: Random) -> bytes:
    """One to six mutations, one after the other."""
    for _ in range(random.randint(1, 6)):
        content = random.choice(_MUTATIONS)(content, random)
    return content


def mutated_json(content: bytes, random: Random) -> bytes:
    """Values of a JSON document changed, taken away or nested; now and then its bytes."""
    if random.random() < 0.2:
        return mutated(content, random)
    value: Json = json.loads(content)
    for _ in range(random.randint(1, 3)):
        _change_somewhere(value, random)
    return json.dumps(value).encode()


def _change_somewhere(value: Json, random: Random) -> None:
    """Go down a random way and change what is at its end."""
    while isinstance(value, dict | list) and value:
        keys: list[str] | list[int] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = random.choice(keys)
        inner: Json = value[key]  # type: ignore[index, call-overload]
        if isinstance(inner, dict | list) and inner and random.random() < 0.8:
            value = inner
            continue
        if isinstance(value, dict) and random.random() < 0.2:
            del value[str(key)]
        else:
            value[key] = _odd_value(inner, random)  # type: ignore[index, call-overload]
        return


def _odd_value(value: Json, random: Random) -> Json:
    nested: Json = [value]
    for _ in range(random.choice((0, 3, 900))):
        nested = [nested]
    choices: tuple[Json, ...] = (*NUMBERS, *WORDS, None, [], {}, nested, {"value": value}, [value, value])
    return random.choice(choices)


def _span(content: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(content) + 1)
    return start, min(len(content), start + random.choice((0, 1, 2, 8, 64, 1024)))


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def _overwrite(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:start] + random.randbytes(stop - start) + content[stop:]


def _delete(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:start] + content[stop:]


def _repeat(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:stop] + content[start:stop] * random.choice((1, 2, 20)) + content[stop:]


def _insert(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + random.choice(TOKENS) + content[place:]


def _replace(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:start] + random.choice(TOKENS) + content[stop:]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _flip_at_end(content: bytes, random: Random) -> bytes:
    """Where parquet and zip keep what all the rest hangs on."""
    near = max(0, len(content) - 600)
    return content[:near] + _flip(content[near:], random)


_MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _flip_at_end, _flip_at_end, _overwrite, _delete, _repeat, _insert, _insert, _replace, _cut,
)  # fmt: skip
