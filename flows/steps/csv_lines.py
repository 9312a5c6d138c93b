"""Lines of CSV text: numbered, cut into cells, blank ones left out."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"


def split_lines(data: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and what follows the last line end."""
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def fields(line: bytes) -> list[str]:
    """Cells of one line."""
    return next(csv.reader([line.decode("utf-8", errors="replace").rstrip("\r\n")]), [])


def numbered_rows(lines: bytes, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each line that is not blank."""
    numbered = enumerate(lines.split(b"\n"), start=first_line)
    return ((number, fields(line)) for number, line in numbered if line.strip())


class Header(NamedTuple):
    """The column names: the first line that is not blank. data_start: byte at which the line below it starts."""

    names: tuple[str, ...]
    line: int
    data_start: int


def find_header(head: bytes) -> Header | None:
    """The header in the first bytes of a file; None where all lines are blank."""
    data_start = 0
    for number, line in enumerate(head.splitlines(keepends=True), start=1):
        data_start += len(line)
        text = line.removeprefix(BOM)
        if text.strip():
            return Header(tuple(name.strip() for name in fields(text)), number, data_start)
    return None
