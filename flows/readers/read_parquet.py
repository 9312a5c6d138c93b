"""Read parquet, only the wanted columns, some rows at a time.

A footer is not trusted: names, rows and types are checked against what is read. Chunk metadata and statistics are left
alone: pyarrow ends the process where Arrow finds a fault in them (RowGroupMetaData.column lets a C++ exception out).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.core.errors import RowError, UnreadableFileError
from flows.model.points import SourceFile
from flows.readers.columns import is_text, plain, shown
from flows.readers.range_file import RangeFile
from flows.readers.table import SAMPLE_ROWS, Chunk, ChunkSize, Sample, ValueType

MAX_ROWS = 1_000_000_000
MAX_ROW_BYTES = 1 << 16
MAX_CELL_BYTES = 1024


class ParquetTable:
    """A parquet file, by the protocol of flows.readers.table.Table.

    Raises:
        UnreadableFileError: not parquet, corrupt, or without rows.
    """

    truncated: bool = False
    n_rows: int | None

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        with self._readable(), _open(file) as parquet:
            schema, n_rows = parquet.schema_arrow, parquet.metadata.num_rows
            row_bytes = _row_bytes(parquet.metadata)
        self.names, self.n_rows = tuple(schema.names), n_rows
        self._text = [field.name for field in schema if _is_text(field.type)]
        if n_rows == 0:
            raise UnreadableFileError(f"{file.name}: found no rows, expected trip records. Leave the file out.")
        if not 0 < n_rows <= MAX_ROWS:
            raise UnreadableFileError(
                f"{file.name}: the parquet footer says {n_rows:,} rows, at most {MAX_ROWS:,} of one file are read. "
                "Split the file; if it is not that large, it is corrupt: get it again."
            )

        if row_bytes > MAX_ROW_BYTES:
            raise UnreadableFileError(
                f"{file.name}: the parquet footer says {row_bytes:,} bytes per row, at most {MAX_ROW_BYTES:,} are "
                "read. Remove the column with long values; if there is none, the file is corrupt: get it again."
            )

    def sample(self, columns: list[int]) -> Sample:
        """Cells as text; only the first pages are read."""
        with self._readable(), _open(self.file, self._text) as parquet:
            rows = next(self._batches(parquet, columns, SAMPLE_ROWS), None)
            if rows is None:
                raise self._other_rows(0)
            arrays = {c: pa.nulls(len(a)) if _longest(a) > MAX_CELL_BYTES else plain(a) for c, a in rows.items()}
        types = {c: str(array.type) for c, array in arrays.items() if not is_text(array.type)}
        return Sample({c: _as_text(array) for c, array in arrays.items()}, partial(_row_name, 0), types)

    def chunks(self, columns: Mapping[int, ValueType], size: ChunkSize) -> Generator[Chunk]:
        """Up to size.rows at once; a row group may give several."""
        n_rows = 0
        with self._readable(), _open(self.file, self._text, mapped=False) as parquet:
            for arrays in self._batches(parquet, list(columns), size.rows):
                n_chunk = len(next(iter(arrays.values())))
                self._check_lengths(arrays, n_rows)
                yield Chunk(n_chunk, {c: plain(a) for c, a in arrays.items()}, partial(_row_name, n_rows))
                n_rows += n_chunk
        pa.default_memory_pool().release_unused()  # a month's buffers would stay with Arrow while all is clustered
        if n_rows != self.n_rows:
            raise self._other_rows(n_rows)

    def _batches(self, parquet: pq.ParquetFile, columns: list[int], n_rows: int) -> Iterator[dict[int, pa.Array]]:
        """The wanted columns by index. Arrow chooses by name, so columns of the same name come along."""
        wanted = dict.fromkeys(self.names[c] for c in columns)
        read = [c for name in wanted for c, other in enumerate(self.names) if other == name]
        for batch in parquet.iter_batches(n_rows, columns=list(wanted)):
            if batch.schema.names != [self.names[c] for c in read]:
                raise pa.ArrowInvalid(f"found columns {batch.schema.names}, the schema names {list(wanted)}")
            batch.validate()
            arrays = dict(zip(read, batch.columns, strict=True))
            yield {c: arrays[c] for c in columns}

    def _check_lengths(self, arrays: Mapping[int, pa.Array], first_row: int) -> None:
        """Refuse long texts: a few bytes of a file may stand for the same one in each of its rows."""
        for c, array in arrays.items():
            if _longest(array) > MAX_CELL_BYTES:
                raise RowError(
                    f"{self.file.name}, {_row_name(first_row, 0)} or below, column {self.names[c]!r}: found a text of "
                    f"{_longest(array):,} bytes, at most {MAX_CELL_BYTES:,} are read. Shorten or remove it."
                )

    def _other_rows(self, n_found: int) -> UnreadableFileError:
        return UnreadableFileError(
            f"{self.file.name}: found {n_found:,} rows, but the parquet footer says {self.n_rows:,}. The file is "
            "corrupt: get it again."
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowMemoryError as error:
            raise UnreadableFileError(
                f"{self.file.name}: reading it needs more memory than there is ({_first_line(error)}). If other files "
                "of this size can be read, this one is corrupt: get it again."
            ) from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UnreadableFileError(
                f"{self.file.name}: expected a whole parquet file, found {self.file.size_bytes:,} bytes that can't be "
                f"read ({_first_line(error)}). It is corrupt, cut off or no parquet: get it again."
            ) from error


def _open(file: SourceFile, text: Sequence[str] = (), mapped: bool = True) -> pq.ParquetFile:
    """A remote file is read by ranges, those of neighbouring columns in one; a local one may be mapped into memory.

    text: columns of text. They are read as dictionaries, so that equal texts take memory once.
    """
    if file.remote is None:
        return pq.ParquetFile(file.path, memory_map=mapped, read_dictionary=list(text))
    remote = pa.PythonFile(RangeFile(file.remote), mode="r")
    return pq.ParquetFile(remote, pre_buffer=True, read_dictionary=list(text))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return is_text(kind) or bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _longest(values: pa.Array) -> int:
    """Bytes of the longest text; 0 where there is none."""
    if not _is_text(values.type):
        return 0
    texts = values.dictionary if pa.types.is_dictionary(values.type) else values
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _row_bytes(metadata: pq.FileMetaData) -> int:
    """Unpacked bytes of a row, on average of the row group where they are most."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)


def _row_name(first_row: int, index: int) -> str:
    """Rows of parquet are called by their number in the file, from 1."""
    return f"row {first_row + index + 1}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _as_text(values: pa.Array) -> list[str | None]:
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    cells = (shown(values, index) for index in range(len(values)))
    return [cell if cell is None else cell.strip() for cell in cells]
