"""Canonical labels: clusters numbered by their first core point, border points to the lowest number in reach."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from flows.kernels.grid_walk import (
    CHUNK,
    MOST_NEIGHBOURS,
    ROWS,
    WORTH_BOUNDS,
    nearest_squared,
    start_walk,
    walk_to,
    weight_of,
)

NO_CLUSTER = np.int64(2**62)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Index = NDArray[np.int32] | NDArray[np.int64]
LayoutTuple = tuple[int, float, float, float, int, int]


@njit(cache=True)
def _gather_roots(parents: Index, firsts: Index) -> Index:
    """List the components' lowest cells, and lower `firsts` there to the component's first core point."""
    n_roots = 0
    for cell in range(len(parents)):
        root = parents[cell]
        if root >= 0:
            firsts[root] = min(firsts[root], firsts[cell])
            n_roots += root == cell
    roots = np.empty(n_roots, parents.dtype)
    found = 0
    for cell in range(len(parents)):
        if parents[cell] == cell:
            roots[found] = cell
            found += 1
    return roots


def number_clusters(parents: Index, firsts: Index) -> Index:
    """Number the components by the lowest input index of a core point.

    Args:
        parents, firsts: index[k] of flows.kernels.grid_join.join_cells; firsts is overwritten.

    Returns:
        index[k]: the cluster's number at each component's lowest cell, anything elsewhere.
    """
    roots = _gather_roots(parents, firsts)
    ranked = roots[np.argsort(firsts[roots])]
    firsts[ranked] = np.arange(len(ranked), dtype=firsts.dtype)
    return firsts


@njit(cache=True, error_model="numpy")
def _touches(x, y, starts, counts, cell, full, min_samples, px, py, eps_squared):  # type: ignore[no-untyped-def]
    """Whether a core point of the cell lies within eps of (px, py)."""
    for q in range(starts[cell], starts[cell + 1]):
        dx, dy = x[q] - px, y[q] - py
        if dx * dx + dy * dy <= eps_squared and (full or counts[q] >= min_samples):
            return True
    return False


@njit(parallel=True, cache=True, error_model="numpy")
def label_points(
    x: Floats,
    y: Floats,
    order: Index,
    keys: Ints,
    starts: Index,
    cell_weights: Ints,
    counts: Ints,
    parents: Index,
    numbers: Index,
    layout: LayoutTuple,
    eps: float,
    min_samples: int,
    n_threads: int,
    labels: Ints,
    core: NDArray[np.bool_],
) -> None:
    """Write labels: int64[n] and core: bool[n], in input order.

    Args:
        x, y, order, keys, starts, cell_weights: of flows.kernels.grid_cells.Cells. layout: of the same cells.
        counts: int64[n] of flows.kernels.grid_core.count_neighbours.
        parents: index[k] of flows.kernels.grid_join.join_cells. numbers: of `number_clusters`.
        eps: metres.
        n_threads: threads in force.
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
                own = NO_CLUSTER if parents[cell] < 0 else np.int64(numbers[parents[cell]])
                if weight_of(cell, starts, cell_weights) >= min_samples:
                    for p in range(starts[cell], starts[cell + 1]):
                        labels[order[p]] = own
                        core[order[p]] = True
                    continue
                n_found = walk_to(keys, cell, stride, ahead, found, offsets)
                row = keys[cell] // stride
                left, low = column0 + (keys[cell] - row * stride) * side, row0 + row * side
                for p in range(starts[cell], starts[cell + 1]):
                    is_core = counts[p] >= min_samples
                    best = own
                    if not is_core:
                        for j in range(1, n_found):
                            other = found[j]
                            if parents[other] < 0 or numbers[parents[other]] >= best:
                                continue
                            if starts[other + 1] - starts[other] >= WORTH_BOUNDS:
                                near_left, near_low = left + offsets[j, 0] * side, low + offsets[j, 1] * side
                                if nearest_squared(x[p], y[p], near_left, near_low, side) > eps_squared:
                                    continue
                            full = weight_of(other, starts, cell_weights) >= min_samples
                            if _touches(x, y, starts, counts, other, full, min_samples, x[p], y[p], eps_squared):
                                best = np.int64(numbers[parents[other]])
                    labels[order[p]] = best if best < NO_CLUSTER else -1
                    core[order[p]] = is_core
