"""Points in cells of eps / sqrt 2, and tiles of cells with the halo that they need.

Any two points of one cell are neighbours, and a neighbour of a point lies at most two cells away (Gunawan 2013, "A
Faster Algorithm for DBSCAN"; Gan and Tao 2015, "DBSCAN Revisited"). Tiles are boxes of whole cells, halved at the
median like a k-d tree, so that each holds about as many points; a tile and the cells within two of it hold every
neighbour of the tile's points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.core.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 2
"""Most cells between one that holds a point and one that holds its neighbour, along an axis."""

_SHRINK = 1 - 2**-10
"""Cells are a little smaller than eps / sqrt 2, so that rounding can't put points more than eps apart in one cell."""
_MOST_CELLS = 2**40
"""Cells along an axis, below which that rounding stays far below the shrinking."""


class Box(NamedTuple):
    """The cells of columns [left, right) and rows [low, high)."""

    left: int
    right: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Cells:
    """The occupied cells of n points, by column, then row.

    order: int64[n], input index of the points in cell order; within a cell in input order.
    starts: int64[n_cells + 1], where each cell's points begin in `order`.
    keys: int64[n_cells], column * height + row, ascending. Rows leave room for REACH more, so that the key of a cell
        REACH above or below an occupied one is never that of an occupied cell in another column.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    keys: NDArray[np.int64]
    height: int


@dataclass(frozen=True, eq=False)
class Patch:
    """A tile with its halo, in cell order: all that a worker needs.

    xy_m: float64[m, 2]. value: [m], what the work asks of each point. starts: int64[k + 1], keys: int64[k], as in
    Cells. cells: int64[k], their indices in Cells. own: bool[k], whether the cell is the tile's own.
    """

    xy_m: NDArray[np.float64]
    value: NDArray[np.int64] | NDArray[np.bool_]
    starts: NDArray[np.int64]
    keys: NDArray[np.int64]
    height: int
    cells: NDArray[np.int64]
    own: NDArray[np.bool_]

    def neighbours(self, cells: NDArray[np.int64], dx: int, dy: int) -> NDArray[np.int64]:
        """Local index of the cell dx columns and dy rows from each of `cells`, -1 where none is occupied."""
        wanted = self.keys[cells] + dx * self.height + dy
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, place, -1)


def sort_into_cells(points_m: NDArray[np.float64], eps_m: float) -> Cells:
    """Find the occupied cells and their points; memory grows with the points, not with the extent.

    Raises:
        ParameterError: the points span so many times eps that float64 can't tell the cells apart.
    """
    side = eps_m / np.sqrt(2) * _SHRINK
    column, row = (_cell_numbers(points_m[:, axis], side) for axis in (0, 1))
    height = int(row.max()) + 1 + 2 * REACH
    point_keys = column * height + row
    order = np.argsort(point_keys, kind="stable")
    point_keys = point_keys[order]
    first = np.flatnonzero(np.diff(point_keys, prepend=-1))
    return Cells(order, np.append(first, len(order)), point_keys[first], height)


def split(cells: Cells, tile_points: int) -> list[Box]:
    """Boxes that hold all cells once, each at most tile_points points or a single cell."""
    column, row = np.divmod(cells.keys, cells.height)
    counts = np.diff(cells.starts)
    boxes = []
    pending = [np.arange(len(cells.keys))]
    while pending:
        members = pending.pop()
        at = (column[members], row[members])
        spans = [int(np.ptp(axis)) for axis in at]
        if counts[members].sum() <= tile_points or max(spans) == 0:
            left, low = int(at[0].min()), int(at[1].min())
            boxes.append(Box(left, left + spans[0] + 1, low, low + spans[1] + 1))
            continue
        axis = at[int(np.argmax(spans))]
        below = axis < _median_cut(axis, counts[members])
        pending += [members[below], members[~below]]
    return boxes


def cells_in(cells: Cells, box: Box) -> NDArray[np.int64]:
    """Indices of the occupied cells of a box, ascending."""
    columns = np.arange(max(box.left, 0), box.right) * cells.height
    first = np.searchsorted(cells.keys, columns + max(box.low, 0))
    last = np.searchsorted(cells.keys, columns + min(box.high, cells.height))
    return ranges(first, last - first)


def cut(cells: Cells, box: Box, xy_m: NDArray[np.float64], value: NDArray[np.int64] | NDArray[np.bool_]) -> Patch:
    """Cut a tile with its halo out of arrays in cell order."""
    halo = Box(box.left - REACH, box.right + REACH, box.low - REACH, box.high + REACH)
    members = cells_in(cells, halo)
    column, row = np.divmod(cells.keys[members], cells.height)
    own = (box.left <= column) & (column < box.right) & (box.low <= row) & (row < box.high)
    counts = cells.starts[members + 1] - cells.starts[members]
    points = ranges(cells.starts[members], counts)
    return Patch(xy_m[points], value[points], offsets(counts), cells.keys[members], cells.height, members, own)


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[i], starts[i] + 1, ... for each i, lengths[i] of them, one after the other."""
    ends = offsets(lengths)
    numbers = np.repeat(starts - ends[:-1], lengths)
    numbers += np.arange(ends[-1])
    return numbers


def offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of consecutive runs begins, and at last where all end."""
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def batches(sizes: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Consecutive slices whose sizes add up to about `most`, or hold a single larger one."""
    bounds = np.flatnonzero(np.diff((offsets(sizes)[:-1]) // most)) + 1
    yield from (slice(int(a), int(b)) for a, b in zip([0, *bounds], [*bounds, len(sizes)], strict=True) if a < b)


def _cell_numbers(coordinate: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    """Number of each point's cell along one axis. Gaps wider than REACH are closed, so that keys stay within int64."""
    lowest = coordinate.min()
    if (span := float(coordinate.max() - lowest)) > _MOST_CELLS * side:
        raise ParameterError(f"the points span {span:g} m, too many times eps; give a larger eps or mend the points")
    numbers: NDArray[np.int64] = ((coordinate - lowest) / side).astype(np.int64)
    if numbers.max() < 2**31 - 2**8:
        return numbers
    occupied, place = np.unique(numbers, return_inverse=True)
    closed: NDArray[np.int64] = np.cumsum(np.minimum(np.diff(occupied, prepend=occupied[0]), REACH + 1))
    return closed[place]


def _median_cut(axis: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
    """The number along the axis that parts the points most evenly, with some on either side."""
    values, place = np.unique(axis, return_inverse=True)
    below = np.cumsum(np.bincount(place, weights=counts))[:-1]
    return int(values[1 + int(np.argmin(np.abs(below - counts.sum() / 2)))])
