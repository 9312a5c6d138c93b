"""Read parquet, only the wanted columns, some rows at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from flows.errors import UnreadableFileError
from flows.model import SourceFile
from flows.steps.columns import has_value
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
            batches = parquet.iter_batches(SAMPLE_ROWS, columns=[self.names[c] for c in columns])
            rows = next(batches, pa.record_batch({}))
        cells = {c: [_as_text(cell) for cell in rows.column(self.names[c]).to_pylist()] for c in columns}
        return Sample(cells, partial(_row_name, 0))

    def has_values(self, column: int) -> bool:
        """By the null counts of the footer where they tell, else by reading until a value comes."""
        with self._readable(), _open(self.file) as parquet:
            if _all_null_by_footer(parquet, self.names[column]):
                return False
            return any(has_value(batch.column(0)) for batch in parquet.iter_batches(columns=[self.names[column]]))

    def chunks(self, columns: Mapping[int, ValueType], size: ChunkSize) -> Generator[Chunk]:
        """Up to size.rows at once; a row group may give several."""
        first_row = 0
        with self._readable(), _open(self.file, mapped=False) as parquet:
            for batch in parquet.iter_batches(size.rows, columns=[self.names[c] for c in columns]):
                arrays = {c: batch.column(self.names[c]) for c in columns}
                yield Chunk(batch.num_rows, arrays, partial(_row_name, first_row))
                first_row += batch.num_rows
        pa.default_memory_pool().release_unused()  # a month's buffers would stay with Arrow while all is clustered

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            cause = str(error).splitlines()[0][:200]
            raise UnreadableFileError(
                f"{self.file.name}: expected a whole parquet file, found {self.file.size_bytes:,} bytes that can't be "
                f"read ({cause}). It is corrupt, cut off or no parquet: get it again."
            ) from error


def _open(file: SourceFile, mapped: bool = True) -> pq.ParquetFile:
    """A remote file is read by ranges, those of neighbouring columns in one; a local one may be mapped into memory."""
    if file.remote is None:
        return pq.ParquetFile(file.path, memory_map=mapped)
    return pq.ParquetFile(pa.PythonFile(RangeFile(file.remote), mode="r"), pre_buffer=True)


def _row_name(first_row: int, index: int) -> str:
    """Rows of parquet are called by their number in the file, from 1."""
    return f"row {first_row + index + 1}"


def _as_text(cell: object) -> str | None:
    return None if cell is None or cell != cell else str(cell).strip()  # NaN is unlike itself


def _all_null_by_footer(parquet: pq.ParquetFile, name: str) -> bool:
    groups = (parquet.metadata.row_group(g) for g in range(parquet.metadata.num_row_groups))
    chunks = [group.column(c) for group in groups for c in range(group.num_columns)]
    counts = [(c.statistics, c.num_values) for c in chunks if c.path_in_schema == name]
    return bool(counts) and all(s is not None and s.has_null_count and s.null_count == n for s, n in counts)
