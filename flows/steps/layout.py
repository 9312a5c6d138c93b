"""Look at one trip file before any work: its dialect, the roles of its columns, and whether they hold what they say."""

from __future__ import annotations

from dataclasses import dataclass

from flows.errors import DialectError, RowError, SourceError
from flows.model import End, Kind, SourceFile
from flows.steps.dialects import COORDINATE_ROLES, ZONE_ROLES, Dialect, Role, dialect_table
from flows.steps.read_csv import CsvTable
from flows.steps.read_parquet import ParquetTable
from flows.steps.table import Sample, Table, format_of


@dataclass(frozen=True, eq=False)
class Layout:
    """One checked file.

    columns: index of the column that plays each role.
    kind: coordinates where a coordinate column holds values, else zones.
    ends: the ends of a trip that the file has, by its kind.
    """

    file: SourceFile
    table: Table
    dialect: Dialect
    columns: dict[Role, int]
    kind: Kind
    ends: tuple[End, ...]

    def has_times(self) -> bool:
        """Whether any pick-up has a time; reads no more than it takes to know."""
        column = self.columns.get("pickup_time")
        return column is not None and self.table.has_values(column)


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
    columns = dialect_table().roles_of(table.names, file.name)
    coordinate_ends = tuple(end for end, pair in COORDINATE_ROLES.items() if all(role in columns for role in pair))
    zone_ends = tuple(end for end, role in ZONE_ROLES.items() if role in columns)
    if not coordinate_ends and not zone_ends:
        raise _no_positions(table)
    sample = table.sample(sorted(columns.values()))
    _check_rules(table, columns, sample)
    for end in coordinate_ends:
        _check_not_swapped(table, columns, sample, end)
    has_coordinates = any(table.has_values(columns[COORDINATE_ROLES[end][0]]) for end in coordinate_ends)
    kind: Kind = "coordinates" if has_coordinates or not zone_ends else "zones"
    return Layout(
        file=file,
        table=table,
        dialect=dialect_table().dialect_of(table.names),
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


def _check_rules(table: Table, columns: dict[Role, int], sample: Sample) -> None:
    """Refuse a file where most of the first values of a column break the rule of its role."""
    missing = dialect_table().missing.values
    for role, column in sorted(columns.items(), key=lambda item: item[1]):
        rule = dialect_table().rule_of(role)
        if rule is None:
            continue
        cells = [(i, cell) for i, cell in enumerate(sample.cells[column]) if cell is not None and cell not in missing]
        bad = [(i, cell) for i, cell in cells if not rule.allows(cell)]
        if 2 * len(bad) > len(cells):
            index, cell = bad[0]
            raise RowError(
                f"{table.file.name}, {sample.place(index)}, column {table.names[column]!r}: found {cell!r}, expected "
                f"{rule.expected}. {len(bad):,} of the first {len(cells):,} values are alike: the header "
                "does not fit the rows below it. Get the file again from its source."
            )


def _check_not_swapped(table: Table, columns: dict[Role, int], sample: Sample, end: End) -> None:
    """Refuse a file where most first points lie in the city only when read the other way round."""
    lon, lat = (columns[role] for role in COORDINATE_ROLES[end])
    degrees = dialect_table().swapped
    swapped, n_points = [], 0
    for index, (x, y) in enumerate(zip(map(_number, sample.cells[lon]), map(_number, sample.cells[lat]), strict=True)):
        n_points += bool(x and y)
        if degrees.lat[0] <= x <= degrees.lat[1] and degrees.lon[0] <= y <= degrees.lon[1]:
            swapped.append(index)
    if 2 * len(swapped) > n_points:
        raise RowError(
            f"{table.file.name}, {sample.place(swapped[0])}: longitude and latitude are swapped: found "
            f"{sample.cells[lon][swapped[0]]} in column {table.names[lon]!r} and {sample.cells[lat][swapped[0]]} in "
            f"{table.names[lat]!r}, expected about -74 and 40.7. Exchange the two names in the header."
        )


def _number(cell: str | None) -> float:
    """A cell as a number; 0 where it is none."""
    try:
        return float(cell or 0)
    except ValueError:
        return 0.0
