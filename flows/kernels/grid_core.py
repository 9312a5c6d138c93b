"""The core test: weight within eps of each point, counted no further than it is asked for.

A cell that weighs `most` or more is all core without a distance: any two of its points are neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from flows.kernels.grid_cells import Floats, Index, Ints, LayoutTuple
from flows.kernels.grid_walk import (
    CHUNK,
    OWN_ROW,
    ROWS,
    SLOP,
    WORTH_BOUNDS,
    farthest_squared,
    nearest_squared,
    neighbourhoods,
    start_walk,
    walk_to,
    weight_of,
)
from flows.kernels.threads import turn

BLOCK = 256
"""Distances between two looks at whether the count is enough."""
GATHERED = 256
"""Points of a neighbourhood up to which they are copied side by side, and all distances are taken."""
LANES = 16
"""Points that the inner loop takes in one step; the copy is padded to that."""


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


@njit(cache=True, error_model="numpy")
def _gather(x, y, weights, starts, rows, near_x, near_y, near_weights):  # type: ignore[no-untyped-def]
    """Copy the points of a neighbourhood, then points that are nowhere near; give how many in all."""
    size = np.int64(0)
    for r in range(ROWS):
        start, stop = np.int64(starts[rows[r, 0]]), np.int64(starts[rows[r, 1]])
        for q in range(start, stop):
            near_x[size + q - start], near_y[size + q - start] = x[q], y[q]
            if len(weights) > 0:
                near_weights[size + q - start] = weights[q]
        size += stop - start
    padded = (size + LANES - 1) // LANES * LANES
    for q in range(size, padded):
        near_x[q] = np.inf
    return padded


@njit(cache=True, error_model="numpy")
def _weight_within_row(  # type: ignore[no-untyped-def]
    x, y, weights, keys, starts, weight_before, first, end, target, left, low, side, px, py, eps_squared, most
):
    """Weight within eps in the cells [first, end) of a row; may stop at `most`."""
    total = np.int64(0)
    for other in range(first, end):
        start, stop = np.int64(starts[other]), np.int64(starts[other + 1])
        if stop - start >= WORTH_BOUNDS:
            other_left = left + (keys[other] - target) * side
            if nearest_squared(px, py, other_left, low, side) > eps_squared:
                continue
            if farthest_squared(px, py, other_left, low, side) <= eps_squared:
                total += weight_of(other, other + 1, starts, weight_before)
                continue
        for block in range(start, stop, BLOCK):
            total += _weight_within(x, y, weights, block, min(stop, block + BLOCK), px, py, eps_squared)
            if total >= most:
                return total
    return total


@njit(cache=True, error_model="numpy")
def _size(starts, rows):  # type: ignore[no-untyped-def]
    """Points of a neighbourhood."""
    size = 0
    for r in range(ROWS):
        size += starts[rows[r, 1]] - starts[rows[r, 0]]
    return size


@njit(parallel=True, cache=True, error_model="numpy")
def _count_neighbours(
    x: Floats,
    y: Floats,
    weights: Ints,
    keys: Ints,
    starts: Index,
    weight_before: Ints,
    layout: LayoutTuple,
    eps: float,
    least: int,
    most: int,
    walks: Ints,
    all_near_x: Floats,
    all_near_y: Floats,
    all_near_weights: Ints,
    counts: Ints,
) -> None:
    _, row0, column0, per_m, stride, _ = layout
    side, eps_squared = 1.0 / per_m, eps * eps
    reach = eps + side * SLOP
    n_cells = len(keys)
    n_chunks = (n_cells + CHUNK - 1) // CHUNK
    n_threads = len(walks)
    for thread in prange(n_threads):
        rows, near_x, near_y = walks[thread], all_near_x[thread], all_near_y[thread]
        near_weights = all_near_weights[thread]
        for chunk in range(thread, n_chunks, n_threads):
            start_walk(keys, chunk * CHUNK, stride, rows)
            for cell in range(chunk * CHUNK, min(n_cells, (chunk + 1) * CHUNK)):
                if weight_of(cell, cell + 1, starts, weight_before) >= most:
                    continue
                walk_to(keys, cell, stride, rows, 0)
                reachable = np.int64(0)
                for r in range(ROWS):
                    reachable += weight_of(rows[r, 0], rows[r, 1], starts, weight_before)
                if reachable < least:
                    for p in range(starts[cell], starts[cell + 1]):
                        counts[p] = 0
                    continue
                if _size(starts, rows) <= GATHERED:
                    n_near = _gather(x, y, weights, starts, rows, near_x, near_y, near_weights)
                    for p in range(starts[cell], starts[cell + 1]):
                        counts[p] = _weight_within(near_x, near_y, near_weights, 0, n_near, x[p], y[p], eps_squared)
                    continue
                row = keys[cell] // stride
                left, low = column0 + (keys[cell] - row * stride) * side, row0 + row * side
                for p in range(starts[cell], starts[cell + 1]):
                    count, left_over = np.int64(0), reachable
                    for step in range(ROWS):
                        r = (2, 1, 3, 0, 4)[step]  # nearest first: more is decided early
                        left_over -= weight_of(rows[r, 0], rows[r, 1], starts, weight_before)
                        row_low = low + (r - OWN_ROW) * side
                        if max(row_low - y[p], y[p] - row_low - side) > reach:
                            continue
                        count += _weight_within_row(
                            x, y, weights, keys, starts, weight_before, rows[r, 0], rows[r, 1],
                            keys[cell] + (r - OWN_ROW) * stride, left, row_low, side,
                            x[p], y[p], eps_squared, most - count,
                        )  # fmt: skip
                        if count >= most or count + left_over < least:
                            break
                    counts[p] = count


@turn()
def count_neighbours(
    x: Floats,
    y: Floats,
    weights: Ints,
    keys: Ints,
    starts: Index,
    weight_before: Ints,
    layout: LayoutTuple,
    eps: float,
    least: int,
    most: int,
    n_threads: int,
    counts: Ints,
) -> None:
    """Write the weight within eps of each point of a cell that weighs less than `most`.

    Counts are exact below `most`, and a count below `least` may be too low. Points of heavier cells are left alone.

    Args:
        x, y, weights, keys, starts, weight_before: of flows.kernels.grid_cells.Cells. layout: of the same cells.
        eps: metres.
        least, most: smallest and largest min_samples that the counts will be compared with.
        n_threads: threads in force.
        counts: int64[n], written to.
    """
    near = (n_threads, GATHERED)
    near_weights = np.zeros((n_threads, GATHERED if len(weights) else 0), np.int64)
    _count_neighbours(
        x, y, weights, keys, starts, weight_before, layout, eps, least, most,
        neighbourhoods(n_threads), np.zeros(near), np.zeros(near), near_weights, counts,
    )  # fmt: skip
