"""Look at one trip file before any work: its dialect, the roles of its columns, and whether they hold what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from flows.core.errors import DialectError, SourceError
from flows.model.points import Kind, SourceFile
from flows.model.spec import End
from flows.readers.alignment import check_aligned, check_not_swapped, check_values, is_missing
from flows.readers.columns import has_nonzero, has_value
from flows.readers.dialects import COORDINATE_ROLES, ZONE_ROLES, Dialect, Role, dialect_table
from flows.readers.read_csv import CsvTable
from flows.readers.read_parquet import ParquetTable
from flows.readers.table import ChunkSize, Sample, Table, ValueType, format_of

_ONE_OF_SEVERAL: tuple[Role, ...] = ("pickup_lon", "dropoff_lon", "pickup_zone", "dropoff_zone", "pickup_time")


@dataclass(frozen=True, eq=False)
class Layout:
    """One checked file.

    sample: its first rows, of the columns that play a role.
    columns: indices of the columns that play each role, in the order in which a row's value is looked for.
    kind: coordinates where a coordinate column holds a number other than 0, or where there are no zone ids; else zones.
    ends: the ends of a trip that the file has, by its kind.
    """

    file: SourceFile
    table: Table
    sample: Sample
    dialect: Dialect
    columns: dict[Role, tuple[int, ...]]
    kind: Kind
    ends: tuple[End, ...]

    def has_times(self) -> bool:
        """Whether any pick-up has a time; reads no more than it takes to know."""
        columns = self.columns.get("pickup_time", ())
        return any(self._holds(column) for column in columns)

    def check_values(self, roles: Iterable[Role]) -> None:
        """Refuse a file whose first values are not what the roles to be read need.

        Raises:
            RowError: most of them are not.
        """
        check_values(self.table, self.sample, {role: self.columns[role] for role in roles})

    def names_of(self, role: Role) -> tuple[str, ...]:
        """Names of the columns that play a role."""
        return tuple(self.table.names[column] for column in self.columns.get(role, ()))

    def zone_columns(self) -> tuple[str, ...]:
        """Columns of zone ids with something in the first rows, where coordinates are read instead."""
        places = [c for role in ZONE_ROLES.values() for c in self.columns.get(role, ())]
        filled = [c for c in places if not all(map(is_missing, self.sample.cells[c]))]
        return tuple(self.table.names[c] for c in filled) if self.kind == "coordinates" else ()

    def _holds(self, column: int) -> bool:
        if not all(map(is_missing, self.sample.cells[column])):
            return True
        return _any_chunk(self.table, column, "time", has_value)


def read_layout(file: SourceFile, skip_truncated: bool, skip_bad_rows: int = 0) -> Layout:
    """Open a file and check its columns and first rows.

    Raises:
        SourceNotFoundError, UnreadableFileError: no such file, or not what its name says.
        DialectError: neither coordinates nor zone ids, or coordinates swapped.
        RowError: the first rows don't fit the header, or the last line is cut off.
    """
    table: Table = (
        ParquetTable(file) if format_of(file) == ".parquet" else CsvTable(file, skip_truncated, skip_bad_rows)
    )
    columns = dialect_table().roles_of(table.names)
    coordinate_ends = tuple(end for end, pair in COORDINATE_ROLES.items() if all(role in columns for role in pair))
    zone_ends = tuple(end for end, role in ZONE_ROLES.items() if role in columns)
    if not coordinate_ends and not zone_ends:
        raise _no_positions(table)
    sample = table.sample(sorted({column for places in columns.values() for column in places}))
    check_aligned(table, sample, columns)
    for end in coordinate_ends:
        for lon, lat in zip(*(columns[role] for role in COORDINATE_ROLES[end]), strict=True):
            check_not_swapped(table, sample, lon, lat)
    columns = _without_dates(columns, sample)
    longitudes = [lon for end in coordinate_ends for lon in columns[COORDINATE_ROLES[end][0]]]
    kind: Kind = "coordinates" if not zone_ends or _any_nonzero(table, sample, longitudes) else "zones"
    return Layout(
        file=file,
        table=table,
        sample=sample,
        dialect=_dialect(table, columns),
        columns=columns,
        kind=kind,
        ends=coordinate_ends if kind == "coordinates" else zone_ends,
    )


def _no_positions(table: Table) -> SourceError:
    names = ", ".join(repr(name) for name in table.names)
    hint = ""
    if any(name[:1].isdigit() or name[:2] in {"-7", "-8"} for name in table.names):
        hint = " The first line looks like a row: is the header missing?"
    return DialectError(
        f"{table.file.name}: no coordinates and no zone ids. Found columns {names}; expected pairs such as "
        f"pickup_longitude and pickup_latitude, or ids such as PULocationID (zone names are not enough).{hint}"
    )


def _without_dates(columns: dict[Role, tuple[int, ...]], sample: Sample) -> dict[Role, tuple[int, ...]]:
    """Without columns of dates and the like, where there is another one of pick-up times."""
    rule = dialect_table().rule_of("pickup_time")
    places = columns.get("pickup_time", ())
    if rule is None or len(places) < 2:
        return columns
    cells = {c: [cell for cell in sample.cells[c] if cell is not None and not is_missing(cell)] for c in places}
    times = tuple(c for c in places if 2 * sum(map(rule.allows, cells[c])) >= len(cells[c]))
    return {**columns, "pickup_time": times or places[:1]}


def _dialect(table: Table, columns: dict[Role, tuple[int, ...]]) -> Dialect:
    """The dialect of the names; another one where columns of several dialects share a role."""
    shared = [columns[role] for role in _ONE_OF_SEVERAL if len(columns.get(role, ())) > 1]
    if not shared:
        return dialect_table().dialect_of(table.names)
    names = ", ".join(" or ".join(table.names[c] for c in places) for places in shared)
    return Dialect(name=f"several joined: {names}", service="unknown", has=frozenset())


def _any_nonzero(table: Table, sample: Sample, columns: list[int]) -> bool:
    """Whether a column of numbers holds anything but 0; reads no more than it takes to know."""
    if any(not is_missing(cell) and not _is_zero(cell) for column in columns for cell in sample.cells[column]):
        return True
    return any(_any_chunk(table, column, "number", has_nonzero) for column in columns)


def _is_zero(cell: str | None) -> bool:
    try:
        return float(cell or 0) == 0
    except ValueError:
        return False


def _any_chunk(table: Table, column: int, value_type: ValueType, holds: Callable[[pa.Array], bool]) -> bool:
    with closing(table.chunks({column: value_type}, ChunkSize())) as chunks:
        return any(holds(chunk.columns[column]) for chunk in chunks)
