"""Whether a header stands over the columns that it names, judged by the first rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flows.core.errors import RowError
from flows.readers.dialects import Role, Rule, dialect_table
from flows.readers.table import Sample, Table

_Columns = Mapping[Role, tuple[int, ...]]


def is_missing(cell: str | None) -> bool:
    """Whether a cell of a sample holds nothing."""
    return cell is None or cell in dialect_table().missing.values


def check_aligned(table: Table, sample: Sample, columns: _Columns) -> None:
    """Refuse a file where a column, read or not, holds what only another column can.

    Raises:
        RowError: such as a time below `vendor_id`, or a longitude below `rate_code_id`.
    """
    _check(table, sample, columns, lambda rule, cell: rule.is_foreign(cell))


def check_values(table: Table, sample: Sample, columns: _Columns) -> None:
    """Refuse a file where most of the first values of a column that is read are not what its role needs.

    Raises:
        RowError: text that is no number, a column of a type that holds no times, and the like.
    """
    _check(table, sample, columns, lambda rule, cell: not rule.allows(cell))


def _check(table: Table, sample: Sample, columns: _Columns, is_bad: Callable[[Rule, str], bool]) -> None:
    by_place = sorted((column, role) for role, places in columns.items() for column in places)
    for column, role in by_place:
        rule = dialect_table().rule_of(role)
        if rule is None:
            continue
        cells = [(i, cell) for i, cell in enumerate(sample.cells[column]) if cell is not None and not is_missing(cell)]
        bad = [(i, cell) for i, cell in cells if is_bad(rule, cell)]
        if 2 * len(bad) > len(cells):
            index, cell = bad[0]
            raise RowError(
                f"{table.file.name}, {sample.place(index)}, column {table.names[column]!r}: found {cell!r}, expected "
                f"{rule.expected}{_advice(sample, column, role, len(bad), len(cells))}"
            )


def _advice(sample: Sample, column: int, role: Role, n_bad: int, n_cells: int) -> str:
    stored_as = sample.types.get(column)
    if stored_as is None:
        return (
            f". {n_bad:,} of the first {n_cells:,} values are alike: the header does not fit the rows below it. "
            "Get the file again from its source."
        )
    or_else = ", or leave out hours and weekdays" if role == "pickup_time" else ""
    return (
        f"; the column is of type {stored_as}, as {n_bad:,} of the first {n_cells:,} values show. Convert it{or_else}."
    )


def check_not_swapped(table: Table, sample: Sample, lon: int, lat: int) -> None:
    """Refuse a file where most first points lie in the city only when read the other way round.

    Raises:
        RowError: longitude and latitude are swapped.
    """
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
