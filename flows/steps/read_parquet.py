"""Read parquet, only the wanted columns, some rows at a time.

A footer is not trusted: names, rows and types are checked against what is read. Chunk metadata and statistics are left
alone: pyarrow ends the process where Arrow finds a fault in them (RowGroupMetaData.column lets a C++ exception out).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.errors import UnreadableFileError
from flows.model import SourceFile
from flows.steps.columns import is_text, plain, shown
from flows.steps.range_file import RangeFile
from flows.steps.table import SAMPLE_ROWS, Chunk, ChunkSize, Sample, ValueType


class ParquetTable:
    """A parquet file, by the protocol of flows.steps.table.Table.

    Raises:
        UnreadableFileError: not parquet, corrupt, or without rows.
    """

    truncated: bool = False

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        with self._readable(), _open(file) as parquet:
            self.names = tuple(parquet.schema_arrow.names)
            self.n_rows: int | None = parquet.metadata.num_rows
        if not self.n_rows:
            raise UnreadableFileError(f"{file.name}: found no rows, expected trip records. Leave the file out.")

    def sample(self, columns: list[int]) -> Sample:
        """Cells as text; only the first pages are read."""
        with self._readable(), _open(self.file) as parquet:
            rows = next(self._batches(parquet, columns, SAMPLE_ROWS), None)
        if rows is None:
            raise self._other_rows(0)
        arrays = {c: plain(array) for c, array in rows.items()}
        types = {c: str(array.type) for c, array in arrays.items() if not is_text(array.type)}
        return Sample({c: _as_text(array) for c, array in arrays.items()}, partial(_row_name, 0), types)

    def chunks(self, columns: Mapping[int, ValueType], size: ChunkSize) -> Generator[Chunk]:
        """Up to size.rows at once; a row group may give several."""
        n_rows = 0
        with self._readable(), _open(self.file, mapped=False) as parquet:
            for arrays in self._batches(parquet, list(columns), size.rows):
                n_chunk = len(next(iter(arrays.values())))
                yield Chunk(n_chunk, arrays, partial(_row_name, n_rows))
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


def _open(file: SourceFile, mapped: bool = True) -> pq.ParquetFile:
    """A remote file is read by ranges, those of neighbouring columns in one; a local one may be mapped into memory."""
    if file.remote is None:
        return pq.ParquetFile(file.path, memory_map=mapped)
    return pq.ParquetFile(pa.PythonFile(RangeFile(file.remote), mode="r"), pre_buffer=True)


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
