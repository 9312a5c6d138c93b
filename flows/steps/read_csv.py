"""Read CSV and gzipped CSV, only the wanted columns, some megabytes of whole lines at a time.

The lines are cut here and parsed by Arrow. So a last line that is cut off is seen before it is parsed, and TLC's own
oddities do no harm: blank lines after the header, blanks around names, more fields than names.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BufferedIOBase
from itertools import islice
from typing import cast

import pyarrow as pa
import pyarrow.csv as arrow_csv
from isal import igzip, isal_zlib

from flows.errors import DialectError, RowError, UnreadableFileError
from flows.model import SourceFile
from flows.steps.columns import has_value
from flows.steps.csv_lines import Header, fields, find_header, numbered_rows, split_lines
from flows.steps.dialects import dialect_table
from flows.steps.read_ahead import read_ahead
from flows.steps.table import SAMPLE_ROWS, Chunk, ChunkSize, Sample, ValueType, row_error

HEAD_BYTES = 1 << 18
_PARSE_BYTES = 1 << 18
_BadDeflateError = cast("type[Exception]", isal_zlib.error)
_TYPES: dict[ValueType, pa.DataType] = {"number": pa.float64(), "zone": pa.float64(), "time": pa.string()}


class CsvTable:
    """A CSV file, by the protocol of flows.steps.table.Table.

    skip_truncated: leave out a last line that is cut off, instead of refusing the file.

    Raises:
        UnreadableFileError: corrupt gzip, another format, or no rows.
        DialectError: a header longer than HEAD_BYTES.
        RowError: the first rows, or the last line, have another number of fields than the header allows.
    """

    n_rows: int | None = None

    def __init__(self, file: SourceFile, skip_truncated: bool) -> None:
        self.file = file
        self.truncated = False
        self._packed = file.name.lower().endswith(".gz")
        self._skip_truncated = skip_truncated
        with self._open() as stream:
            head = stream.read(HEAD_BYTES)
            whole = not stream.read(1)
        self._header = self._find_header(head)
        self.names = self._header.names
        lines, tail = split_lines(head[self._header.data_start :])
        self._rows = list(islice(numbered_rows(lines, self._header.line + 1), SAMPLE_ROWS))
        self.n_fields = self._count_fields()
        self._check_rows(self._rows)
        if whole:
            self._check_small_file(tail, len(head) - len(tail))
        elif not self._packed:
            self._check_last_line()

    def sample(self, columns: list[int]) -> Sample:
        """Cells of the first lines."""
        cells: dict[int, list[str | None]] = {c: [row[c].strip() for _, row in self._rows] for c in columns}
        return Sample(cells, lambda index: f"line {self._rows[index][0]}")

    def has_values(self, column: int) -> bool:
        """From the first lines where they tell, else by reading until a value comes."""
        missing = dialect_table().missing.values
        if any(row[column].strip() not in missing for _, row in self._rows):
            return True
        return any(has_value(chunk.columns[column]) for chunk in self.chunks({column: "time"}, ChunkSize()))

    def chunks(self, columns: Mapping[int, ValueType], size: ChunkSize) -> Generator[Chunk]:
        """About size.csv_bytes at once; the next are inflated meanwhile."""
        first_byte = self._header.data_start
        blocks = read_ahead(self._blocks(size.csv_bytes))
        try:
            for block in blocks:
                if block and not block.isspace():
                    yield self._parse(block, first_byte, columns)
                first_byte += len(block)
        finally:
            blocks.close()

    def _parse(self, block: bytes, first_byte: int, columns: Mapping[int, ValueType]) -> Chunk:
        surplus = range(len(self.names), self.n_fields)
        types = {str(c): _TYPES[kind] for c, kind in columns.items()} | {str(c): pa.null() for c in surplus}
        options = arrow_csv.ConvertOptions(
            include_columns=list(types),
            column_types=types,
            null_values=list(dialect_table().missing.values),
            strings_can_be_null=True,
        )
        names = [str(c) for c in range(self.n_fields)]
        reading = arrow_csv.ReadOptions(column_names=names, block_size=_PARSE_BYTES)
        try:
            rows = arrow_csv.read_csv(pa.BufferReader(block), read_options=reading, convert_options=options)
        except pa.ArrowInvalid:
            return self._parse_slowly(block, first_byte, columns)
        return Chunk(rows.num_rows, {c: rows[str(c)] for c in columns}, partial(self._line_name, block, first_byte))

    def _parse_slowly(self, block: bytes, first_byte: int, columns: Mapping[int, ValueType]) -> Chunk:
        """Parse a block that Arrow refuses, to name the line; cells are left as text."""
        rows = list(numbered_rows(block, self._line_at(first_byte)))
        self._check_rows(rows)
        arrays = {c: pa.array([row[c] for _, row in rows], pa.string()) for c in columns}
        return Chunk(len(rows), arrays, partial(self._line_name, block, first_byte))

    def _line_name(self, block: bytes, first_byte: int, index: int) -> str:
        """What row `index` (0-based) of a block is called in a message; blank lines are no rows."""
        return f"line {next(islice(numbered_rows(block, self._line_at(first_byte)), index, None))[0]}"

    def _line_at(self, first_byte: int) -> int:
        """Number (from 1) of the line that starts at a byte. Counted in a second pass: only messages need it."""
        line = 1
        with self._open() as stream:
            while first_byte and (data := stream.read(min(first_byte, HEAD_BYTES))):
                line += data.count(b"\n")
                first_byte -= len(data)
        return line

    def _blocks(self, n_bytes: int) -> Generator[bytes]:
        """Whole lines below the header, by about n_bytes."""
        position = self._header.data_start
        with self._open() as stream:
            stream.read(position)
            while data := stream.read(n_bytes):
                lines, tail = data + stream.readline(), b""
                if not lines.endswith(b"\n"):  # the end of the file
                    lines, tail = split_lines(lines)
                yield lines
                position += len(lines)
                if self._is_row(tail, position):
                    yield tail

    def _is_row(self, tail: bytes, first_byte: int) -> bool:
        """Whether the text behind the last line end is a row. A cut-off one is refused, or noted and left out."""
        if not tail.strip():
            return False
        n_found = len(fields(tail))
        if n_found >= self.n_fields and tail.count(b'"') % 2 == 0:
            return True
        if not self._skip_truncated:
            raise RowError(
                f"{self.file.name}, line {self._line_at(first_byte)}: the last line is cut off: found {n_found} fields "
                f"and no line end, expected {self.n_fields}. Get the file again, or leave the line out "
                "with `--skip-truncated`."
            )
        self.truncated = True
        return False

    def _find_header(self, head: bytes) -> Header:
        formats = {b"PAR1": "parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip"}
        found = next((name for magic, name in formats.items() if head.startswith(magic)), None)
        if found or b"\0" in head:
            raise UnreadableFileError(
                f"{self.file.name}: found {found or 'binary data'}, expected CSV text. Rename, unpack or convert it."
            )
        header = find_header(head)
        if header is None:
            raise UnreadableFileError(
                f"{self.file.name}: found blank lines alone, no rows; expected a header and rows."
            )
        if header.data_start == HEAD_BYTES:
            raise DialectError(f"{self.file.name}: found no line end in {HEAD_BYTES:,} bytes, expected a header.")
        return header

    def _count_fields(self) -> int:
        """Fields of each row: as many as names, or so many more as TLC is known to have published."""
        n_names = len(self.names)
        n_found = len(self._rows[0][1]) if self._rows else n_names
        surplus = dialect_table().dialect_of(self.names).surplus_fields
        return n_found if n_names < n_found <= n_names + surplus else n_names

    def _check_rows(self, rows: Iterable[tuple[int, list[str]]]) -> None:
        n_names = len(self.names)
        for line, row in rows:
            if len(row) != self.n_fields:
                raise RowError(
                    f"{self.file.name}, line {line}: found {len(row)} fields, expected {self.n_fields} below "
                    f"{n_names} column names. Mend or remove the line, or get the file again from its source."
                )
            surplus = next((cell for cell in row[n_names:] if cell.strip()), None)
            if surplus is not None:
                problem = (
                    f"found {len(row)} fields, {surplus!r} behind the last name; expected {n_names}, or empty ones"
                )
                raise row_error(self.file, f"line {line}", "(no name)", problem)

    def _check_small_file(self, tail: bytes, first_byte: int) -> None:
        """Judge the end of a file that was read whole."""
        if not self._is_row(tail, first_byte) and not self._rows:
            raise UnreadableFileError(
                f"{self.file.name}: found a header and no rows, expected trip records. Leave the file out."
            )

    def _check_last_line(self) -> None:
        """Refuse a cut-off last line before any work; behind gzip it is seen when the reading gets there."""
        with self._open() as stream:
            stream.seek(-HEAD_BYTES, os.SEEK_END)
            _, tail = split_lines(stream.read())
            self._is_row(tail, stream.tell() - len(tail))

    @contextmanager
    def _open(self) -> Iterator[BufferedIOBase]:
        """The file's text as bytes. igzip inflates three times as fast as zlib, and that is most of the work."""
        path = self.file.path
        try:
            stream = igzip.open(path, "rb") if self._packed else path.open("rb")  # type: ignore[no-untyped-call]
            with stream:
                yield stream
        except (OSError, EOFError, zlib.error, _BadDeflateError) as error:
            raise UnreadableFileError(
                f"{self.file.name}: expected CSV{' packed with gzip' if self._packed else ''}, found "
                f"{self.file.size_bytes:,} bytes that can't be read to the end ({error}). Get the file again."
            ) from error
