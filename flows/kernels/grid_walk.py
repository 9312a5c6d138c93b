"""What the passes over sorted cells share: a walk from neighbourhood to neighbourhood, and bounds on a cell's points.

Inlined into the kernels of grid_core, grid_join and grid_labels; flows.kernels.cache keys compiled code by the content
of all kernel sources, so an edit here reaches them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

CHUNK = 256
"""Consecutive cells that a thread takes at a time; chunks go round the threads, so crowded quarters are shared."""
ROWS = 5
OWN_ROW = 2
ROWS_APART = 64
"""Rows from one thread's neighbourhood to the next one's in memory, so that no cache line is shared."""
SLOP = 2**-12
"""Of a side: more than rounding can move a cell's bounds."""
WORTH_BOUNDS = 8
"""Points of a cell from which bounds are tried before distances."""


def neighbourhoods(n_threads: int) -> NDArray[np.int64]:
    """Room for the neighbourhood that each thread is at: int64[n_threads, ROWS_APART, 2]."""
    return np.zeros((n_threads, ROWS_APART, 2), np.int64)


@njit(cache=True, error_model="numpy")
def start_walk(keys, cell, stride, rows):  # type: ignore[no-untyped-def]
    """Begin a walk at a cell: write its neighbourhood's cells [first, end) in each row, two below to two above.

    Cells of a row at most two columns away lie side by side in the list, and so do their points.

    Args:
        rows: int64[5 or more, 2], of `neighbourhoods`.
    """
    for r in range(ROWS):
        rows[r, 0] = np.searchsorted(keys, keys[cell] + (r - OWN_ROW) * stride - 2)
        rows[r, 1] = rows[r, 0]


@njit(cache=True, error_model="numpy")
def walk_to(keys, cell, stride, rows, first_row):  # type: ignore[no-untyped-def]
    """Go on to a later cell, in the rows from first_row on. Bounds only move forward: a walk over all is linear."""
    n_cells = len(keys)
    for r in range(first_row, ROWS):
        target = keys[cell] + (r - OWN_ROW) * stride
        first, end = rows[r, 0], rows[r, 1]
        while first < n_cells and keys[first] < target - 2:
            first += 1
        end = max(end, first)
        while end < n_cells and keys[end] <= target + 2:
            end += 1
        rows[r, 0], rows[r, 1] = first, end


@njit(cache=True, error_model="numpy")
def weight_of(first, end, starts, weight_before):  # type: ignore[no-untyped-def]
    """Weight of all points of the cells [first, end)."""
    if len(weight_before) > 0:
        return weight_before[end] - weight_before[first]
    return np.int64(starts[end] - starts[first])


@njit(cache=True, error_model="numpy")
def nearest_squared(x, y, left, low, side):  # type: ignore[no-untyped-def]
    """At most the squared distance from (x, y) to any point of the cell whose corner is (left, low)."""
    slop = side * SLOP
    dx = max(left - slop - x, x - left - side - slop, 0.0)
    dy = max(low - slop - y, y - low - side - slop, 0.0)
    return dx * dx + dy * dy


@njit(cache=True, error_model="numpy")
def farthest_squared(x, y, left, low, side):  # type: ignore[no-untyped-def]
    """At least the squared distance from (x, y) to every point of the cell whose corner is (left, low)."""
    slop = side * SLOP
    dx = max(left + side + slop - x, x - left + slop)
    dy = max(low + side + slop - y, y - low + slop)
    return dx * dx + dy * dy
