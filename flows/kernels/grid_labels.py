"""Canonical labels: clusters numbered by their first core point, border points to the lowest number in reach."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from flows.kernels.grid_cells import Floats, Index, Ints, LayoutTuple
from flows.kernels.grid_walk import (
    CHUNK,
    OWN_ROW,
    ROWS,
    WORTH_BOUNDS,
    nearest_squared,
    neighbourhoods,
    start_walk,
    walk_to,
    weight_of,
)
from flows.kernels.threads import turn

NO_CLUSTER = 2**62
MOST_CANDIDATES = 24


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


@njit(cache=True, error_model="numpy")
def _list_candidates(keys, starts, parents, numbers, cell, stride, rows, own, found):  # type: ignore[no-untyped-def]
    """List the cells around that belong to a cluster numbered below `own`; give how many they are."""
    n_found = 0
    for r in range(ROWS):
        for other in range(rows[r, 0], rows[r, 1]):
            if parents[other] >= 0 and numbers[parents[other]] < own:
                found[n_found, 0], found[n_found, 1] = other, r - OWN_ROW
                found[n_found, 2] = keys[other] - keys[cell] - (r - OWN_ROW) * stride
                n_found += 1
    return n_found


@njit(parallel=True, cache=True, error_model="numpy")
def _label_points(
    x: Floats,
    y: Floats,
    rough: Index,
    keys: Ints,
    starts: Index,
    weight_before: Ints,
    counts: Ints,
    parents: Index,
    numbers: Index,
    layout: LayoutTuple,
    eps: float,
    min_samples: int,
    walks: Ints,
    candidates: Ints,
    marks: Index,
) -> None:
    _, row0, column0, per_m, stride, _ = layout
    side, eps_squared = 1.0 / per_m, eps * eps
    n_cells = len(keys)
    n_chunks = (n_cells + CHUNK - 1) // CHUNK
    n_threads = len(walks)
    for thread in prange(n_threads):
        rows, found = walks[thread], candidates[thread]
        for chunk in range(thread, n_chunks, n_threads):
            start_walk(keys, chunk * CHUNK, stride, rows)
            for cell in range(chunk * CHUNK, min(n_cells, (chunk + 1) * CHUNK)):
                own = np.int64(NO_CLUSTER) if parents[cell] < 0 else np.int64(numbers[parents[cell]])
                if weight_of(cell, cell + 1, starts, weight_before) >= min_samples:
                    for p in range(starts[cell], starts[cell + 1]):
                        marks[rough[p]] = 2 * own + 1
                    continue
                walk_to(keys, cell, stride, rows, 0)
                n_found = _list_candidates(keys, starts, parents, numbers, cell, stride, rows, own, found)
                row = keys[cell] // stride
                left, low = column0 + (keys[cell] - row * stride) * side, row0 + row * side
                for p in range(starts[cell], starts[cell + 1]):
                    if counts[p] >= min_samples:
                        marks[rough[p]] = 2 * own + 1
                        continue
                    best = own
                    for i in range(n_found):
                        other, number = found[i, 0], np.int64(numbers[parents[found[i, 0]]])
                        if number >= best:
                            continue
                        if starts[other + 1] - starts[other] >= WORTH_BOUNDS:
                            other_left, other_low = left + found[i, 2] * side, low + found[i, 1] * side
                            if nearest_squared(x[p], y[p], other_left, other_low, side) > eps_squared:
                                continue
                        full = weight_of(other, other + 1, starts, weight_before) >= min_samples
                        if _touches(x, y, starts, counts, other, full, min_samples, x[p], y[p], eps_squared):
                            best = number
                    marks[rough[p]] = 2 * best if best < NO_CLUSTER else -2


@turn()
def label_points(
    x: Floats,
    y: Floats,
    rough: Index,
    keys: Ints,
    starts: Index,
    weight_before: Ints,
    counts: Ints,
    parents: Index,
    numbers: Index,
    layout: LayoutTuple,
    eps: float,
    min_samples: int,
    n_threads: int,
    marks: Index,
) -> None:
    """Write marks: index[n], 2 * label + (1 where core), in the order of the first pass of the sort.

    Args:
        x, y, rough, keys, starts, weight_before: of flows.kernels.grid_cells.Cells. layout: of the same cells.
        counts: int64[n] of flows.kernels.grid_core.count_neighbours.
        parents: index[k] of flows.kernels.grid_join.join_cells. numbers: of `number_clusters`.
        eps: metres.
        n_threads: threads in force.
    """
    _label_points(
        x, y, rough, keys, starts, weight_before, counts, parents, numbers, layout, eps, min_samples,
        neighbourhoods(n_threads), np.empty((n_threads, MOST_CANDIDATES, 3), np.int64), marks,
    )  # fmt: skip


@njit(parallel=True, cache=True, error_model="numpy")
def put_back(
    marks: Index, bucket: NDArray[np.uint16], block_places: Ints, labels: Ints, core: NDArray[np.bool_]
) -> None:
    """Write labels: int64[n] and core: bool[n] in input order; the way back of the sort's first pass.

    Args:
        marks: index[n] of `label_points`. bucket: of flows.kernels.grid_cells.Cells.
        block_places: a copy of the `block_starts` of the same, overwritten.
    """
    n, n_blocks = len(marks), len(block_places)
    for block in prange(n_blocks):
        places = block_places[block]
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            mark = marks[places[bucket[i]]]
            places[bucket[i]] += 1
            labels[i] = mark >> 1
            core[i] = mark & 1
