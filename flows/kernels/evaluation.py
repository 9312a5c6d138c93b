"""Compiled loops of the quality metrics: sums per cluster, with no distance matrix and no dependence on threads.

Every sum is taken in point order by one thread, and no kernel allows reassociation, so the numbers are the same bytes
for any number of threads and for any number of cells that are evaluated together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from flows.kernels.threads import turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES = 8
"""Rows whose distances are summed side by side: one AVX-512 or two AVX2 registers of float64."""


@njit(parallel=True, cache=True, error_model="numpy")
def _silhouette_rows(
    xy: NDArray[np.float64],
    multiplicities: NDArray[np.float64],
    slots: NDArray[np.uint32],
    first_slot: NDArray[np.int64],
    sizes: NDArray[np.float64],
    all_sums: NDArray[np.float64],
    all_lanes: NDArray[np.float64],
    all_rows: NDArray[np.int64],
    silhouettes: NDArray[np.float64],
) -> None:
    m, n_cells = slots.shape
    n_threads = len(all_sums)
    n_blocks = (m + LANES - 1) // LANES
    for thread in prange(n_threads):
        sums, lanes, rows = all_sums[thread], all_lanes[thread], all_rows[thread]
        for block in range(thread * n_blocks // n_threads, (thread + 1) * n_blocks // n_threads):
            for lane in range(LANES):
                rows[lane] = min(block * LANES + lane, m - 1)  # the last block repeats its last row
            _sum_distances(xy, multiplicities, slots, rows, lanes[0], lanes[1], lanes[2], sums)
            for cell in range(n_cells):
                span = first_slot[cell : cell + 2]
                _score_rows(slots[:, cell], rows, sums, sizes, span, lanes[0], lanes[1], silhouettes[cell])


@njit(cache=True, error_model="numpy")
def _sum_distances(xy, multiplicities, slots, rows, x, y, distances, sums):  # type: ignore[no-untyped-def]
    """Distances of LANES rows to all points, added up per slot; each is computed once for all cells."""
    for lane in range(LANES):
        x[lane], y[lane] = xy[rows[lane], 0], xy[rows[lane], 1]
    for slot in range(len(sums)):
        for lane in range(LANES):
            sums[slot, lane] = 0.0
    for other in range(len(xy)):
        for lane in range(LANES):
            dx, dy = xy[other, 0] - x[lane], xy[other, 1] - y[lane]
            distances[lane] = multiplicities[other] * math.sqrt(dx * dx + dy * dy)
        for cell in range(slots.shape[1]):
            slot = slots[other, cell]
            for lane in range(LANES):
                sums[slot, lane] += distances[lane]


@njit(cache=True, error_model="numpy")
def _score_rows(slots, rows, sums, sizes, span, own, nearest, silhouettes):  # type: ignore[no-untyped-def]
    """Silhouettes of LANES rows in the cell whose slots are span[0] to span[1] - 1; uses up their sums."""
    for lane in range(LANES):
        own[lane], nearest[lane] = sums[slots[rows[lane]], lane], np.inf
        sums[slots[rows[lane]], lane] = np.inf
    noise = span[1] - 1
    for cluster in range(span[0], noise):
        for lane in range(LANES):
            nearest[lane] = min(nearest[lane], sums[cluster, lane] / sizes[cluster])
    for lane in range(LANES):
        slot = slots[rows[lane]]
        if slot != noise and sizes[slot] > 1:
            within = own[lane] / (sizes[slot] - 1)
            larger = max(within, nearest[lane])
            if larger > 0:
                silhouettes[rows[lane]] = (nearest[lane] - within) / larger


@turn()
def silhouette_rows(
    xy: NDArray[np.float64],
    multiplicities: NDArray[np.float64],
    slots: NDArray[np.uint32],
    first_slot: NDArray[np.int64],
    sizes: NDArray[np.float64],
    n_threads: int,
) -> NDArray[np.float64]:
    """Silhouette of every sampled point in every cell (Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7).

    A point of a cluster of one trip has silhouette 0, and so has one whose distances are all 0, as in scikit-learn.

    Args:
        xy: float64[m, 2], metres.
        multiplicities: float64[m], sampled trips at each point, >= 1.
        slots: uint32[m, n_cells], where the point's cluster in each cell is summed. The slots of cell c are
            first_slot[c] to first_slot[c + 1] - 1: one for each of its clusters, then one for its noise.
        first_slot: int64[n_cells + 1].
        sizes: float64[first_slot[-1]], sampled trips of each slot.
        n_threads: threads in force (flows.kernels.threads).

    Returns:
        float64[n_cells, m], in [-1, 1]; 0 where the point is noise in the cell.
    """
    m, n_cells = slots.shape
    silhouettes = np.zeros((n_cells, m))
    sums = np.empty((n_threads, first_slot[-1], LANES))
    lanes, rows = np.empty((n_threads, LANES, LANES)), np.empty((n_threads, LANES), np.int64)
    _silhouette_rows(xy, multiplicities, slots, first_slot, sizes, sums, lanes, rows, silhouettes)
    return silhouettes


@njit(cache=True, nogil=True, error_model="numpy")
def cluster_moments(
    xy: NDArray[np.float64], weights: NDArray[np.int64], labels: NDArray[np.int64], n_clusters: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight, centroid and spread of every cluster.

    Coordinates are taken relative to the first point: on the 2^-10 m grid the sums behind the centroids are then exact.

    Args:
        xy: float64[n, 2], metres, n >= 1.
        weights: int64[n], trips.
        labels: int64[n], in -1..n_clusters - 1, -1 for noise.
        n_clusters: k.

    Returns:
        int64[k] trips; float64[k, 2] centroids relative to xy[0]; float64[k] mean distance of its trips to the
        centroid, metres; float64[k] sum of their squared distances, m^2. NaN where a cluster has no trips.
    """
    trips = np.zeros(n_clusters, dtype=np.int64)
    centroids = np.zeros((n_clusters, 2))
    distance = np.zeros(n_clusters)
    squared = np.zeros(n_clusters)
    for i in range(len(labels)):
        k = labels[i]
        if k >= 0:
            trips[k] += weights[i]
            centroids[k, 0] += weights[i] * (xy[i, 0] - xy[0, 0])
            centroids[k, 1] += weights[i] * (xy[i, 1] - xy[0, 1])
    for k in range(n_clusters):
        centroids[k, 0] /= trips[k]
        centroids[k, 1] /= trips[k]
    for i in range(len(labels)):
        k = labels[i]
        if k >= 0:
            dx = xy[i, 0] - xy[0, 0] - centroids[k, 0]
            dy = xy[i, 1] - xy[0, 1] - centroids[k, 1]
            distance[k] += weights[i] * math.sqrt(dx * dx + dy * dy)
            squared[k] += weights[i] * (dx * dx + dy * dy)
    return trips, centroids, distance / trips, squared


@njit(parallel=True, cache=True, error_model="numpy")
def _worst_similarities(
    centroids: NDArray[np.float64],
    spreads: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    widest: NDArray[np.float64],
    block_size: int,
    n_threads: int,
    worst: NDArray[np.float64],
) -> None:
    k, n_blocks = len(spreads), len(widest)
    for thread in prange(n_threads):
        for i in range(thread * k // n_threads, (thread + 1) * k // n_threads):
            x, y, spread, home = centroids[i, 0], centroids[i, 1], spreads[i], i // block_size
            best = 0.0
            for step in range(n_blocks):
                block = (home + step) % n_blocks  # the nearest block first: it makes the others easy to skip
                dx = max(low[block, 0] - x, x - high[block, 0], 0.0)
                dy = max(low[block, 1] - y, y - high[block, 1], 0.0)
                gap = math.sqrt(dx * dx + dy * dy)
                if gap > 0 and (spread + widest[block]) / gap <= best:
                    continue
                for j in range(block * block_size, min(k, (block + 1) * block_size)):
                    dx, dy = centroids[j, 0] - x, centroids[j, 1] - y
                    gap = math.sqrt(dx * dx + dy * dy)
                    if gap > 0:
                        best = max(best, (spread + spreads[j]) / gap)
            worst[i] = best


@turn()
def worst_similarities(
    centroids: NDArray[np.float64], spreads: NDArray[np.float64], block_size: int, n_threads: int
) -> NDArray[np.float64]:
    """Similarity of each cluster to its most similar one (Davies and Bouldin 1979, doi:10.1109/TPAMI.1979.4766909).

    The similarity of clusters i and j is (spread_i + spread_j) / distance of their centroids; a pair whose centroids
    coincide is left out, as in scikit-learn. A block of clusters is skipped where its bounding box and its largest
    spread show that it holds nothing more similar. The bound is computed like the similarity, and rounding is
    monotone, so skipping never changes a bit.

    Args:
        centroids: float64[k, 2], metres; neighbours in the array should be neighbours on the ground.
        spreads: float64[k], mean distance to the centroid, metres.
        block_size: clusters per block, >= 1; about sqrt(k).
        n_threads: threads in force (flows.kernels.threads).

    Returns:
        float64[k], >= 0.
    """
    starts, worst = np.arange(0, len(spreads), block_size), np.zeros(len(spreads))
    _worst_similarities(
        centroids,
        spreads,
        np.minimum.reduceat(centroids, starts),
        np.maximum.reduceat(centroids, starts),
        np.maximum.reduceat(spreads, starts),
        block_size,
        n_threads,
        worst,
    )
    return worst


def warm_up() -> None:
    """Compile, or load from the cache, every kernel of this module."""
    xy, slots = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), np.array([[0], [0], [1]], dtype=np.uint32)
    silhouette_rows(xy, np.ones(3), slots, np.array([0, 2]), np.array([2.0, 1.0]), 1)
    cluster_moments(xy, np.ones(3, dtype=np.int64), np.zeros(3, dtype=np.int64), 1)
    worst_similarities(np.zeros((1, 2)), np.zeros(1), 1, 1)
