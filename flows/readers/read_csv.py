"""Read CSV and gzipped CSV, only the wanted columns, some megabytes of whole lines at a time.

The lines are cut here and parsed by Arrow. So a last line that is cut off is seen before it is parsed, and TLC's own
oddities do no harm: blank lines after the header, blanks around names, more fields than names. Lines that Arrow may
take otherwise than flows.readers.csv_lines are cut there.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BufferedIOBase
from itertools import islice
from typing import cast

import pyarrow as pa
import pyarrow.csv as arrow_csv
from isal import igzip, isal_zlib

from flows.core.errors import RowError, UnreadableFileError
from flows.model.points import SourceFile
from flows.readers.csv_header import find_header
from flows.readers.csv_hints import hint, refuse_decimal_commas
from flows.readers.csv_lines import (
    MAX_LINE_BYTES,
    Block,
    Line,
    LongLineError,
    check_lengths,
    cut,
    ended_by_lf,
    numbered_lines,
    read_lines,
    split_lines,
    to_block,
)
from flows.readers.dialects import dialect_table
from flows.readers.read_ahead import read_ahead
from flows.readers.table import SAMPLE_ROWS, Chunk, ChunkSize, Sample, ValueType

HEAD_BYTES = 2 * MAX_LINE_BYTES
_PARSE_BYTES = 2 * MAX_LINE_BYTES
_BadDeflateError = cast("type[Exception]", isal_zlib.error)
_TYPES: dict[ValueType, pa.DataType] = {"number": pa.float64(), "zone": pa.float64(), "time": pa.string()}
_GZIP = b"\x1f\x8b"


class CsvTable:
    """A CSV file, by the protocol of flows.readers.table.Table.

    skip_truncated: leave out a last line that is cut off, instead of refusing the file.
    skip_bad_rows: leave out up to so many lines that don't fit the header, instead of refusing the file.

    Raises:
        UnreadableFileError: corrupt gzip, another format, or no rows.
        DialectError: a header that is too long, or has another separator.
        RowError: the first rows, or the last line, have another number of fields than the header allows.
    """

    n_rows: int | None = None

    def __init__(self, file: SourceFile, skip_truncated: bool, skip_bad_rows: int = 0) -> None:
        self.file = file
        self.truncated = False
        self._packed = file.name.lower().endswith(".gz")
        self._skip_truncated, self._skip_bad_rows = skip_truncated, skip_bad_rows
        with self._open() as stream:
            head = stream.read(HEAD_BYTES)
            whole = not stream.read(1)
        self._header = find_header(file, head)
        self.names = self._header.names
        lines, tail = split_lines(ended_by_lf(head[self._header.data_start :], self._header.line_end))
        with self._lines_within_limit():
            check_lengths(lines, self._header.line + 1)
            check_lengths(tail, self._header.line + 1 + lines.count(b"\n"))
        sampled = list(islice(numbered_lines(lines, self._header.line + 1), SAMPLE_ROWS))
        self.n_fields = self._count_fields(sampled)
        if whole and len(sampled) < SAMPLE_ROWS and self._take_tail(tail, self._header.line + 1 + lines.count(b"\n")):
            sampled.append(Line(self._header.line + 1 + lines.count(b"\n"), *cut(tail)))
        self._rows = self._fitting(sampled)
        refuse_decimal_commas(file, self.names, self._rows)
        if whole and not self._rows:
            raise UnreadableFileError(
                f"{file.name}: found a header and no rows, expected trip records. Leave the file out."
            )
        if not whole and not self._packed:
            self._check_last_line()

    def sample(self, columns: list[int]) -> Sample:
        """Cells of the first lines."""
        cells: dict[int, list[str | None]] = {c: [row.cells[c].strip() for row in self._rows] for c in columns}
        return Sample(cells, lambda index: f"line {self._rows[index].number}")

    def chunks(self, columns: Mapping[int, ValueType], size: ChunkSize) -> Generator[Chunk]:
        """About size.csv_bytes at once; the next are inflated meanwhile."""
        n_bad_rows = 0
        blocks = read_ahead(self._blocks(size.csv_bytes))
        try:
            for block in blocks:
                chunk = self._parse(block, columns, n_bad_rows)
                n_bad_rows += len(chunk.bad_lines)
                yield chunk
        finally:
            blocks.close()

    def _parse(self, block: Block, columns: Mapping[int, ValueType], n_bad_rows: int) -> Chunk:
        rows = self._parse_fast(block.text, columns) if block.plain else None
        if rows is None:
            return self._parse_slowly(block, columns, n_bad_rows)
        return Chunk(rows.num_rows, {c: rows[str(c)] for c in columns}, partial(_line_name, block))

    def _parse_fast(self, lines: bytes, columns: Mapping[int, ValueType]) -> pa.Table | None:
        """None where Arrow refuses the lines."""
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
            return arrow_csv.read_csv(pa.BufferReader(lines), read_options=reading, convert_options=options)
        except pa.ArrowInvalid:
            return None

    def _parse_slowly(self, block: Block, columns: Mapping[int, ValueType], n_bad_rows: int) -> Chunk:
        """Leave out or name the lines that don't fit; cells are left as text."""
        numbers: list[int] = []
        bad_lines: list[int] = []
        cells: dict[int, list[str]] = {column: [] for column in columns}
        for line in numbered_lines(block.text, block.first_line):
            fault = self._fault(line)
            if fault is None:
                numbers.append(line.number)
                for column, values in cells.items():
                    values.append(line.cells[column])
            elif n_bad_rows + len(bad_lines) < self._skip_bad_rows:
                bad_lines.append(line.number)
            else:
                raise self._bad_row(line.number, fault)
        arrays = {column: pa.array(values, pa.string()) for column, values in cells.items()}
        return Chunk(len(numbers), arrays, lambda index: f"line {numbers[index]}", tuple(bad_lines))

    def _blocks(self, n_bytes: int) -> Generator[Block]:
        """Whole lines below the header, by about n_bytes."""
        with self._lines_within_limit(), self._open() as stream:
            stream.read(self._header.data_start)
            for lines, line in read_lines(stream, self._header.line_end, self._header.line + 1, n_bytes):
                if lines.isspace():
                    continue
                if lines.endswith(b"\n"):
                    yield to_block(lines, line, self.n_fields)
                elif self._take_tail(lines, line):
                    yield to_block(lines + b"\n", line, self.n_fields)

    def _take_tail(self, tail: bytes, line: int) -> bool:
        """Whether the text behind the last line end is a row. A cut-off one is refused, or noted and left out."""
        if not tail.strip():
            return False
        if not self._is_cut_off(tail):
            return True
        if not self._skip_truncated:
            raise self._cut_off(tail, line)
        self.truncated = True
        return False

    def _is_cut_off(self, tail: bytes) -> bool:
        cells, fault = cut(tail)
        return bool(cells) and (fault is not None or len(cells) < self.n_fields)

    def _cut_off(self, tail: bytes, line: int) -> RowError:
        return RowError(
            f"{self.file.name}, line {line}: the last line is cut off: found {len(cut(tail)[0])} fields and no line "
            f"end, expected {self.n_fields}. Get the file again, or leave the line out with `--skip-truncated`."
        )

    def _count_fields(self, sampled: list[Line]) -> int:
        """Fields of each row: as many as names, or so many more as TLC is known to have published."""
        n_names = len(self.names)
        counts = Counter(len(line.cells) for line in sampled if line.fault is None)
        n_found = counts.most_common(1)[0][0] if counts else n_names
        surplus = dialect_table().dialect_of(self.names).surplus_fields
        return n_found if n_names < n_found <= n_names + surplus else n_names

    def _fault(self, line: Line) -> str | None:
        """Why a line does not fit the header."""
        n_names, n_found = len(self.names), len(line.cells)
        if line.fault is not None:
            return line.fault
        if n_found != self.n_fields:
            return f"found {n_found} fields, expected {self.n_fields} below {n_names} column names" + hint(
                line, self.n_fields
            )
        missing = dialect_table().missing.values
        surplus = next((cell for cell in line.cells[n_names:] if cell.strip() not in missing), None)
        if surplus is not None:
            return f"found {n_found} fields, {surplus!r} behind the last name; expected {n_names}, or empty ones"
        return None

    def _fitting(self, sampled: list[Line]) -> list[Line]:
        """The first lines but for those that are left out. Where most don't fit, the header is to blame."""
        faults = [(line.number, fault) for line in sampled if (fault := self._fault(line)) is not None]
        if 2 * len(faults) > len(sampled):
            number, fault = faults[0]
            raise RowError(
                f"{self.file.name}, line {number}: {fault}. {len(faults):,} of the first {len(sampled):,} rows don't "
                "fit the header. Mend the header or the rows."
            )
        if len(faults) > self._skip_bad_rows:
            raise self._bad_row(*faults[self._skip_bad_rows])
        bad = {number for number, _ in faults}
        return [line for line in sampled if line.number not in bad]

    def _bad_row(self, line: int, fault: str) -> RowError:
        allowed = self._skip_bad_rows
        advice = (
            f"{allowed:,} bad rows were left out before it, as many as `--skip-bad-rows {allowed}` allows: mend or "
            "remove the line, or allow more."
            if allowed
            else "Mend or remove the line, or leave out up to N such lines with `--skip-bad-rows N`."
        )
        return RowError(f"{self.file.name}, line {line}: {fault}. {advice}")

    @contextmanager
    def _lines_within_limit(self) -> Iterator[None]:
        try:
            yield
        except LongLineError as error:
            raise RowError(f"{self.file.name}, {error}. Mend or remove the line.") from error

    def _check_last_line(self) -> None:
        """Refuse a cut-off last line before any work; behind gzip it is seen when the reading gets there."""
        with self._open() as stream:
            stream.seek(-HEAD_BYTES, os.SEEK_END)
            data = ended_by_lf(stream.read(), self._header.line_end)
        _, tail = split_lines(data)
        if not tail.strip() or len(tail) > MAX_LINE_BYTES or not self._is_cut_off(tail):
            return  # a line that is too long is found when the reading gets there
        if not self._skip_truncated:
            raise self._cut_off(tail, self._count_lines())

    def _count_lines(self) -> int:
        """Number of the last line. Counted in a second pass: only a message needs it."""
        with self._open() as stream:
            return 1 + sum(data.count(self._header.line_end) for data in iter(partial(stream.read, HEAD_BYTES), b""))

    @contextmanager
    def _open(self) -> Iterator[BufferedIOBase]:
        """The file's text as bytes. igzip inflates three times as fast as zlib, and that is most of the work."""
        path = self.file.path
        try:
            stream = igzip.open(path, "rb") if self._packed else path.open("rb")  # type: ignore[no-untyped-call]
            with stream:
                yield stream
        except (gzip.BadGzipFile, EOFError, zlib.error, _BadDeflateError) as error:
            with path.open("rb") as content:
                is_gzip = content.read(len(_GZIP)) == _GZIP
            advice = "Get the file again." if is_gzip else "It is not packed with gzip: pack it, or rename it to .csv."
            raise UnreadableFileError(
                f"{self.file.name}: expected CSV packed with gzip, found {self.file.size_bytes:,} bytes that can't be "
                f"read to the end ({error}). {advice}"
            ) from error
        except OSError as error:
            raise UnreadableFileError(
                f"{self.file.name}: the file can't be read ({error}). Check the file, its permissions and its disk."
            ) from error


def _line_name(block: Block, index: int) -> str:
    """What row `index` (0-based) of a block is called in a message; blank lines are no rows."""
    return f"line {next(islice(numbered_lines(block.text, block.first_line), index, None)).number}"
