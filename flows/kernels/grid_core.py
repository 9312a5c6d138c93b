"""The core test: weight within eps of each point, counted no further than it is asked for.

A cell that weighs `most` or more is all core without a distance: any two of its points are neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from flows.kernels.grid_walk import (
    CHUNK,
    MOST_NEIGHBOURS,
    ROWS,
    WORTH_BOUNDS,
    farthest_squared,
    nearest_squared,
    start_walk,
    walk_to,
    weight_of,
)

BLOCK = 256
"""Distances between two looks at whether the count is enough."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Index = NDArray[np.int32] | NDArray[np.int64]
LayoutTuple = tuple[int, float, float, float, int, int]


@njit(cache=True, error_model="numpy")
def _weight_within(x, y, weights, start, stop, px, py, eps_squared):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    if len(weights) > 0:
        for q in range(start, stop):
            dx, dy = x[q] - px, y[q] - py
            total += weights[q] if dx * dx + dy * dy <= eps_squared else 0
    else:
        for q in range(start, stop):
            dx, dy = x[q] - px, y[q] - py
            total += 1 if dx * dx + dy * dy <= eps_squared else 0
    return total


@njit(parallel=True, cache=True, error_model="numpy")
def count_neighbours(
    x: Floats,
    y: Floats,
    weights: Ints,
    keys: Ints,
    starts: Index,
    cell_weights: Ints,
    layout: LayoutTuple,
    eps: float,
    least: int,
    most: int,
    n_threads: int,
    counts: Ints,
) -> None:
    """Write min(weight within eps, about `most`) of each point of a cell that weighs less than `most`.

    Points of heavier cells are left as they are, and a count below `least` is only known to be below it.

    Args:
        x, y, weights, keys, starts, cell_weights: of flows.kernels.grid_cells.Cells. layout: of the same cells.
        eps: metres.
        least, most: smallest and largest min_samples that the counts will be compared with.
        n_threads: threads in force.
        counts: int64[n], written to.
    """
    _, row0, column0, per_m, stride, _ = layout
    side, eps_squared = 1.0 / per_m, eps * eps
    n_cells = len(keys)
    n_chunks = (n_cells + CHUNK - 1) // CHUNK
    for thread in prange(n_threads):
        ahead = np.empty(ROWS, np.int64)
        found, offsets = np.empty(MOST_NEIGHBOURS, np.int64), np.empty((MOST_NEIGHBOURS, 2), np.int64)
        for chunk in range(thread, n_chunks, n_threads):
            start_walk(keys, chunk * CHUNK, stride, ahead)
            for cell in range(chunk * CHUNK, min(n_cells, (chunk + 1) * CHUNK)):
                own = weight_of(cell, starts, cell_weights)
                if own >= most:
                    continue
                n_found = walk_to(keys, cell, stride, ahead, found, offsets)
                reachable = own
                for j in range(1, n_found):
                    reachable += weight_of(found[j], starts, cell_weights)
                row = keys[cell] // stride
                # The left bound of a row's cells comes with the key: a row has `stride` keys, more than it has cells.
                left, low = column0 + (keys[cell] - row * stride) * side, row0 + row * side
                for p in range(starts[cell], starts[cell + 1]):
                    count = own
                    if reachable >= least:
                        for j in range(1, n_found):
                            if count >= most:
                                break
                            start, stop = starts[found[j]], starts[found[j] + 1]
                            if stop - start >= WORTH_BOUNDS:
                                near_left, near_low = left + offsets[j, 0] * side, low + offsets[j, 1] * side
                                if nearest_squared(x[p], y[p], near_left, near_low, side) > eps_squared:
                                    continue
                                if farthest_squared(x[p], y[p], near_left, near_low, side) <= eps_squared:
                                    count += weight_of(found[j], starts, cell_weights)
                                    continue
                            for block in range(start, stop, BLOCK):
                                end = min(stop, block + BLOCK)
                                count += _weight_within(x, y, weights, block, end, x[p], y[p], eps_squared)
                                if count >= most:
                                    break
                    counts[p] = count
