"""What the passes over sorted cells share: walking a cell's neighbourhood, and bounds on a cell's points.

Inlined into the kernels of grid_core, grid_join and grid_labels; flows.kernels.cache keys the compiled code by the
content of all kernel sources, so an edit here reaches them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CHUNK = 256
"""Consecutive cells that a thread takes at a time; chunks go round the threads, so crowded quarters are shared."""
ROWS = 5
MOST_NEIGHBOURS = 25
SLOP = 2**-12
"""Of a side: more than rounding can move a cell's bounds."""
WORTH_BOUNDS = 8
"""Points of a cell from which bounds are tried before distances."""


@njit(cache=True, error_model="numpy")
def start_walk(keys, first, stride, ahead):  # type: ignore[no-untyped-def]
    """ahead[r]: the first cell that is not left of the neighbourhood of cell `first` in its row r - 2."""
    for r in range(ROWS):
        ahead[r] = np.searchsorted(keys, keys[first] + (r - 2) * stride - 2)


@njit(cache=True, error_model="numpy")
def walk_to(keys, cell, stride, ahead, found, offsets):  # type: ignore[no-untyped-def]
    """List the occupied cells at most two columns and rows from `cell`, itself first; give their number.

    `ahead` only moves forward, from one cell to the next: over all cells the walk is linear.

    Args:
        found: int64[25], their indices. offsets: int64[25, 2], columns and rows that they lie from `cell`.
    """
    n_found = 1
    found[0], offsets[0, 0], offsets[0, 1] = cell, 0, 0
    for step in range(ROWS):
        r = (2, 1, 3, 0, 4)[step]  # nearest rows first: more is decided early
        target = keys[cell] + (r - 2) * stride
        j = ahead[r]
        while j < len(keys) and keys[j] < target - 2:
            j += 1
        ahead[r] = j
        while j < len(keys) and keys[j] <= target + 2:
            if j != cell:
                found[n_found], offsets[n_found, 0], offsets[n_found, 1] = j, keys[j] - target, r - 2
                n_found += 1
            j += 1
    return n_found


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


@njit(cache=True, error_model="numpy")
def weight_of(cell, starts, cell_weights):  # type: ignore[no-untyped-def]
    """Weight of all points of a cell."""
    return cell_weights[cell] if len(cell_weights) > 0 else np.int64(starts[cell + 1] - starts[cell])
