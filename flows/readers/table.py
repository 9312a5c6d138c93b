"""What a trip file of any format gives: its columns, a sample of its first rows, and a stream of chunks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import pyarrow as pa

from flows.core.errors import RowError, SourceNotFoundError, UnreadableFileError
from flows.model.points import SourceFile

ValueType = Literal["number", "zone", "time"]
SAMPLE_ROWS = 1000
FORMATS = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True)
class ChunkSize:
    """How much is read at once; it changes memory and speed, never what is delivered."""

    rows: int = 1 << 18
    csv_bytes: int = 1 << 23


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive rows of one file.

    columns: the wanted columns by their index in the file.
    place: what a row of the chunk (0-based) is called in a message, such as `line 7`.
    bad_lines: numbers of lines that were left out because they don't fit the header.
    """

    n_rows: int
    columns: dict[int, pa.ChunkedArray | pa.Array]
    place: Callable[[int], str]
    bad_lines: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """The first rows: cells by column index as text, None where missing; and each row's place.

    types: of the columns whose cells are not stored as text.
    """

    cells: dict[int, list[str | None]]
    place: Callable[[int], str]
    types: dict[int, str] = field(default_factory=dict)


class Table(Protocol):
    """One open trip file.

    names: its columns. n_rows: rows where a footer tells. truncated: whether a last line was left out as
    cut off; known once the chunks were read.
    """

    file: SourceFile
    names: tuple[str, ...]
    n_rows: int | None
    truncated: bool

    def sample(self, columns: list[int]) -> Sample:
        """Up to SAMPLE_ROWS first rows."""
        ...

    def chunks(self, columns: Mapping[int, ValueType], size: ChunkSize) -> Generator[Chunk]:
        """The whole file, in row order.

        Raises:
            RowError: a line with too few or too many fields, or cut off.
            UnreadableFileError: the file is corrupt.
        """
        ...


def format_of(file: SourceFile) -> str:
    """One of FORMATS, by the file's name, for a regular file with something in it.

    Raises:
        SourceNotFoundError: there is none.
        UnreadableFileError: a directory, an unknown suffix, or zero bytes.
    """
    if file.remote is None and not file.path.exists():
        raise SourceNotFoundError(f"{file.name}: no such file ({file.path}). Check the name.")
    if file.remote is None and not file.path.is_file():
        raise UnreadableFileError(
            f"{file.name}: found a directory or device, expected a file. Name its files, or use a glob: *.parquet."
        )
    known = next((suffix for suffix in FORMATS if file.name.lower().endswith(suffix)), None)
    if known is None:
        raise UnreadableFileError(
            f"{file.name}: found another suffix, expected one of {', '.join(FORMATS)}. Convert or rename the file."
        )
    if (file.size_bytes if file.remote is not None else file.path.stat().st_size) == 0:
        raise UnreadableFileError(f"{file.name}: found 0 bytes, expected trip records; no rows. Fetch the file again.")
    return known


def row_error(file: SourceFile, place: str, column: str, problem: str) -> RowError:
    """A RowError that says where, what was found and expected, and what to do."""
    return RowError(f"{file.name}, {place}, column {column!r}: {problem}. Mend or remove the row.")
