"""How CSV text is cut: a row is a line, and a line is cut into cells as Python's csv module does.

A quoted cell can't hold a line end. It could not be told from an opening quote that never closes, which would swallow
the rows below it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

MAX_LINE_BYTES = 1 << 17  # the csv module's own limit of a cell
_PIECE_BYTES = 1 << 18
LineEnd = Literal[b"\n", b"\r"]

_LF, _CR, _QUOTE = b'\n\r"'
_CR_LF_SWAPPED = bytes.maketrans(b"\r\n", b"\n\r")
_FIRST_LINE_END = re.compile(rb"\r+\n|\n|\r")
_CRS_BEFORE_LF = re.compile(rb"\r+\n")
_BLANKS_ALONE = re.compile(rb"^[ \t\v\f]+\r?$", re.MULTILINE)


class LongLineError(ValueError):
    """A line above MAX_LINE_BYTES: its number, from 1, and as much of it as was read."""

    def __init__(self, number: int, text: bytes) -> None:
        line, end, _ = text.partition(b"\n")
        size = f"{'' if end else 'at least '}{len(line):,}"
        mixed = " (but line ends of another kind, CR or LF)" if b"\r" in line.rstrip(b"\r") else ""
        super().__init__(
            f"line {number}: found {size} bytes without a line end{mixed}; a line may have {MAX_LINE_BYTES:,} bytes"
        )


class Line(NamedTuple):
    """A line that is not blank. fault: why it can't be cut into cells."""

    number: int
    cells: list[str]
    fault: str | None


class Block(NamedTuple):
    """Whole lines, each ended by LF. plain: no line but a blank one is cut by Arrow otherwise than by `cut`."""

    text: bytes
    first_line: int
    plain: bool


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Up to size bytes; none at the end."""
        ...


def line_end_of(head: bytes) -> LineEnd:
    """CR where the first line ends with CR alone, else LF; CRs before an LF belong to the line end."""
    found = _FIRST_LINE_END.search(head)
    return b"\r" if found is not None and found.group() == b"\r" else b"\n"


def ended_by_lf(data: bytes, line_end: LineEnd) -> bytes:
    """The data with LF for line ends. In text with CR line ends an LF becomes a CR, which is a stray one."""
    return data.translate(_CR_LF_SWAPPED) if line_end == b"\r" else data


def split_lines(data: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and what follows the last LF."""
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def cut(line: bytes) -> tuple[list[str], str | None]:
    """Cells of one line, and why it can't be cut where it can't."""
    text = line.decode("utf-8", errors="replace").rstrip("\r\n")
    if "\0" in text:
        return [], "found a NUL byte, expected text"
    if "\r" in text:
        return [], "found a line end of another kind (CR or LF) inside the line"
    reader = csv.reader([text, ""])
    try:
        cells = next(reader)
    except csv.Error as error:
        return [], f"the line can't be cut: {error}"
    if reader.line_num > 1:
        return cells, "found a quote that opens a cell and is not closed in this line"
    return cells, None


def numbered_lines(lines: bytes, first_line: int) -> Iterator[Line]:
    """Each line that is not blank."""
    numbered = enumerate(lines.split(b"\n"), start=first_line)
    return (Line(number, *cut(line)) for number, line in numbered if line.strip())


def check_lengths(lines: bytes, first_line: int) -> None:
    """Look for a line that is too long; at the end it needs no line end.

    Raises:
        LongLineError: there is one.
    """
    start = 0
    while len(lines) - start > MAX_LINE_BYTES:
        end = lines.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end < 0:
            raise LongLineError(first_line + lines.count(b"\n", 0, start), lines[start:])
        start = end + 1


def read_lines(stream: Readable, line_end: LineEnd, first_line: int, n_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines, by about n_bytes, and the number of their first; last what follows the last line end.

    Raises:
        LongLineError: a line above MAX_LINE_BYTES.
    """
    line, rest = first_line, b""
    while data := stream.read(n_bytes):
        lines, rest = split_lines(rest + ended_by_lf(data, line_end))
        check_lengths(lines, line)
        if lines:
            yield lines, line
            line += int(np.count_nonzero(_characters(lines) == _LF))
        check_lengths(rest, line)
    if rest:
        yield rest, line


def to_block(lines: bytes, first_line: int, n_fields: int) -> Block:
    """Look whether Arrow may cut whole lines. CRs before an LF are left out where there are several."""
    plain = b"\0" not in lines
    if b"\r" in lines and not _before_lf(lines):
        lines = _CRS_BEFORE_LF.sub(b"\n", lines)
        plain = plain and b"\r" not in lines
    plain = plain and (b'"' not in lines or all(map(_quotes_are_plain, _pieces(lines))))
    if n_fields == 1:  # Arrow takes a line of blanks for a cell
        plain = plain and _BLANKS_ALONE.search(lines) is None
    return Block(lines, first_line, plain)


def _characters(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _before_lf(lines: bytes) -> bool:
    """Whether an LF follows each CR."""
    characters = _characters(lines)
    return bool((characters[1:][characters[:-1] == _CR] == _LF).all())


def _one_of(characters: bytes) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(characters)] = True
    return table


_MAY_STAND_BEFORE, _MAY_STAND_BEHIND = _one_of(b',\n"'), _one_of(b',\r\n"')


def _pieces(lines: bytes) -> Iterator[NDArray[np.uint8]]:
    """Whole lines, by what a processor's cache holds."""
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + _PIECE_BYTES) + 1 or len(lines)
        yield np.frombuffer(lines, np.uint8, end - start, start)
        start = end


def _quotes_are_plain(characters: NDArray[np.uint8]) -> bool:
    """Whether quotes, taken in pairs, enclose whole cells of one line.

    A quote beside a quote is a doubled one inside a cell: the first closes and the second opens, so pairs stay pairs.
    """
    quotes = np.flatnonzero(characters == _QUOTE)
    if len(quotes) % 2:
        return False
    before, behind = characters[quotes[::2] - 1], characters[quotes[1::2] + 1]  # before the first stands the last LF
    if not (_MAY_STAND_BEFORE[before].all() and _MAY_STAND_BEHIND[behind].all()):
        return False
    return not (np.searchsorted(quotes, np.flatnonzero(characters == _LF)) % 2).any()
