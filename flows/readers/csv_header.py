"""The header of CSV text: where it is, and what stands there instead of one."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from flows.core.errors import DialectError, UnreadableFileError
from flows.model.points import SourceFile
from flows.readers.csv_hints import DECIMAL_COMMA, SEPARATORS
from flows.readers.csv_lines import MAX_LINE_BYTES, LineEnd, LongLineError, cut, ended_by_lf, line_end_of
from flows.readers.dialects import dialect_table, normalised

_BOM = b"\xef\xbb\xbf"
_FORMATS = {
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip (Excel workbooks are such)",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_LINES_SEARCHED = 50
_SHOWN_CHARACTERS = 80


class Header(NamedTuple):
    """The column names: the first line that is not blank. data_start: byte at which the line below it starts."""

    names: tuple[str, ...]
    line: int
    data_start: int
    line_end: LineEnd


def find_header(file: SourceFile, head: bytes) -> Header:
    """The header in the first bytes of a file, which are more than MAX_LINE_BYTES or all.

    Raises:
        UnreadableFileError: another format or encoding, or blank lines alone.
        DialectError: a line that is too long, another separator, or a line above the header that is none.
    """
    line_end = line_end_of(head)
    text, start = ended_by_lf(head, line_end), 0
    _refuse_other_formats(file, head, first_line=text[:MAX_LINE_BYTES].split(b"\n", 1)[0])
    for number, line in enumerate(text.split(b"\n"), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise DialectError(f"{file.name}, {LongLineError(number, text[start:])}; expected a header.")
        start = min(start + len(line) + 1, len(text))
        line = _without_bom(line)
        if line.strip():
            rows = [row.decode("utf-8", errors="replace") for row in islice(text[start:].split(b"\n"), _LINES_SEARCHED)]
            return Header(_names(file, number, line, rows), number, start, line_end)
    raise UnreadableFileError(
        f"{file.name}: found blank lines alone in the first {len(head):,} bytes, no rows; expected a header and rows."
    )


def _without_bom(line: bytes) -> bytes:
    while line.startswith(_BOM):
        line = line.removeprefix(_BOM)
    return line


def _refuse_other_formats(file: SourceFile, head: bytes, first_line: bytes) -> None:
    found = next((name for magic, name in _FORMATS.items() if head.startswith(magic)), None)
    if head.startswith(_UTF_16) or _every_other_is_nul(first_line):
        raise UnreadableFileError(
            f"{file.name}: found text in UTF-16 or UTF-32, expected UTF-8. Save or convert it as UTF-8."
        )
    if found or b"\0" in first_line:
        raise UnreadableFileError(
            f"{file.name}: found {found or 'binary data'}, expected CSV text. Rename, unpack or convert it."
        )


def _every_other_is_nul(line: bytes) -> bool:
    """Whether a line looks like ASCII in UTF-16 or UTF-32 without a byte order mark."""
    half = len(line) // 2
    return half > 7 and half - 1 <= max(line[::2].count(0), line[1::2].count(0)) and line.count(0) < len(line)


def _names(file: SourceFile, number: int, line: bytes, rows: list[str]) -> tuple[str, ...]:
    text = line.decode("utf-8", errors="replace").strip()
    names, fault = cut(line)
    n_known = _count_known(names)
    if not n_known:
        _refuse_remark(file, number, text, rows)
    if fault:
        raise DialectError(f"{file.name}, line {number}: the header can't be read: {fault}. Mend the line.")
    _refuse_separator(file, number, text, names, rows)
    return tuple(name.strip() for name in names)


def _count_known(names: list[str]) -> int:
    """How many names of columns are known."""
    known = {alias for aliases in dialect_table().roles.values() for alias in aliases}
    return sum(normalised(name) in known for name in names)


def _split(text: str, separator: str) -> list[str]:
    return [name.strip(' "\r') for name in text.split(separator)]


def _refuse_remark(file: SourceFile, number: int, text: str, rows: list[str]) -> None:
    """Say where the header is if it is further down."""
    for below, row in enumerate(rows, start=number + 1):
        if max(_count_known(_split(row, separator)) for separator in (",", *SEPARATORS)) > 1:
            raise DialectError(
                f"{file.name}, line {number}: found {text[:_SHOWN_CHARACTERS]!r}, expected the header, which is line "
                f"{below}. Remove the lines above it."
            )


def _refuse_separator(file: SourceFile, number: int, text: str, names: list[str], rows: list[str]) -> None:
    """Say what the columns are separated by where more names are known by it than by commas."""
    n_known = {separator: _count_known(_split(text, separator)) for separator in SEPARATORS}
    separator = max(n_known, key=lambda sign: n_known[sign])
    if n_known[separator] > _count_known(names):
        cells = (cell for row in rows for cell in _split(row, separator))
        number_found = next((cell for cell in cells if DECIMAL_COMMA.fullmatch(cell)), None)
        points = "" if number_found is None else f", and decimal points in the numbers (found {number_found!r})"
        raise DialectError(
            f"{file.name}, line {number}: the columns are separated by {SEPARATORS[separator]} ({separator!r}), "
            f"expected commas. Save the file with commas between the columns{points}."
        )
    if len(names) == 1 and _count_known(_split(names[0], ",")) > _count_known(names):
        raise DialectError(
            f"{file.name}, line {number}: the whole line is one quoted cell, expected quotes around single cells at "
            "most. Save the file without the quotes around its lines."
        )
