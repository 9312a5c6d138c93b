"""Points sorted into the occupied cells of a grid, in two passes that any number of threads share.

Cells have side eps / sqrt 2 * (1 - 2^-10). With i = floor((x - x0) / side) below 2^31, rounding moves a point by less
than 2^-20 of a side. So

- two points of one cell are neighbours: they differ by less than side * (1 + 2^-19) along each axis, hence
  dx^2 + dy^2 < 2 side^2 (1 + 2^-17) < eps^2 (1 - 2^-10);
- a neighbour lies at most REACH = 2 cells away along each axis: eps / side < 1.416, and 1.416 + 2^-19 < 2.

Occupied cells are a list sorted by key = row * stride + column; rows run along the longer axis. Nothing is ever
allocated per cell of the whole box. First the points are scattered into about MOST_BUCKETS runs of consecutive keys,
with one small histogram per thread; then each bucket, which mostly fits a core's cache, is sorted by one thread: by
counting where its keys are few, else by their digits. Both passes are stable, so points of a cell are in input order,
whatever the number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from flows.kernels.grid_sort import DIGITS, list_cells, scatter, sort_buckets, sort_weights
from flows.kernels.threads import turn

REACH = 2
POINTS_PER_BUCKET = 16_384
LEAST_BUCKETS, MOST_BUCKETS = 256, 1024
"""Few enough that a core's cache holds the ends of all, many enough to share a crowded city among threads."""
MOST_CELLS = 2**31
"""Along an axis."""
SHRINK = 1 - 2**-10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Index = NDArray[np.int32] | NDArray[np.int64]
LayoutTuple = tuple[int, float, float, float, int, int]


class Survey(NamedTuple):
    """What one look at the input shows: bounds in metres, the weights' least value and sum, whether all is finite."""

    low: tuple[float, float]
    high: tuple[float, float]
    finite: bool
    least_weight: int
    total_weight: int


class Layout(NamedTuple):
    """Where the cells lie.

    axis: of points_m, along which rows are counted. row0_m, column0_m: origin. per_m: cells per metre.
    stride: difference of the keys of a cell and the one a row further.
    """

    axis: int
    row0_m: float
    column0_m: float
    per_m: float
    stride: int
    n_keys: int


class Cells(NamedTuple):
    """n points in k occupied cells.

    The first pass leaves the points in buckets, the second in cell order. The way back goes by the same two steps,
    each of which stays within a core's cache: labels written straight to input order would each cost a cache miss.

    x, y: float64[n] metres, in cell order (x is the coordinate across a row's cells). weights: int64[n], or empty
    where all are 1. keys: int64[k], ascending. starts: index[k + 1], first point of each cell.
    weight_before: int64[k + 1], weight of all cells before, or empty where all weights are 1.
    rough: index[n], place after the first pass of each point in cell order. order: index[n], input index of each
    point after the first pass. bucket: uint16[n], of each input point.
    block_starts: int64[b, n_buckets], place after the first pass of the first point of each bucket in block b of b
    equal blocks of the input.
    """

    x: Floats
    y: Floats
    weights: Ints
    keys: Ints
    starts: Index
    weight_before: Ints
    rough: Index
    order: Index
    bucket: NDArray[np.uint16]
    block_starts: Ints


@njit(parallel=True, cache=True, error_model="numpy")
def _survey(points: Floats, weights: Ints, n_threads: int, bounds: Floats, sums: Ints) -> None:
    n = len(points)
    for thread in prange(n_threads):
        start, stop = n * thread // n_threads, n * (thread + 1) // n_threads
        finite = True
        x_low, x_high, y_low, y_high = np.inf, -np.inf, np.inf, -np.inf
        x_low2, x_high2, y_low2, y_high2 = np.inf, -np.inf, np.inf, -np.inf
        for i in range(start, stop - 1, 2):  # two chains: one would wait for the comparison before
            x, y, x2, y2 = points[i, 0], points[i, 1], points[i + 1, 0], points[i + 1, 1]
            finite &= (abs(x) < np.inf) & (abs(y) < np.inf) & (abs(x2) < np.inf) & (abs(y2) < np.inf)
            x_low = x if x < x_low else x_low
            x_high = x if x > x_high else x_high
            y_low = y if y < y_low else y_low
            y_high = y if y > y_high else y_high
            x_low2 = x2 if x2 < x_low2 else x_low2
            x_high2 = x2 if x2 > x_high2 else x_high2
            y_low2 = y2 if y2 < y_low2 else y_low2
            y_high2 = y2 if y2 > y_high2 else y_high2
        if stop > start:
            x, y = points[stop - 1, 0], points[stop - 1, 1]
            finite &= (abs(x) < np.inf) & (abs(y) < np.inf)
            bounds[thread, 0] = min(x, x_low, x_low2)
            bounds[thread, 1] = min(y, y_low, y_low2)
            bounds[thread, 2] = max(x, x_high, x_high2)
            bounds[thread, 3] = max(y, y_high, y_high2)
        least, upper, lower = np.int64(2**63 - 1), np.int64(0), np.int64(0)
        for i in range(start, stop):
            least = min(least, weights[i])
            upper += weights[i] >> 32  # in halves, which can't overflow
            lower += weights[i] & 0xFFFFFFFF
        sums[thread, 0], sums[thread, 1], sums[thread, 2] = least, upper, lower
        sums[thread, 3] = finite


@turn()
def survey(points: Floats, weights: Ints, n_threads: int) -> Survey:
    """Look once at n >= 1 points: float64[n, 2] and weights: int64[n]."""
    bounds = np.full((n_threads, 4), np.inf)
    bounds[:, 2:] = -np.inf
    sums = np.empty((n_threads, 4), np.int64)
    _survey(points, weights, n_threads, bounds, sums)
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    total = (int(sums[:, 1].sum()) << 32) + int(sums[:, 2].sum())
    return Survey(
        (float(low[0]), float(low[1])),
        (float(high[0]), float(high[1])),
        bool(sums[:, 3].all()),
        int(sums[:, 0].min()),
        total,
    )


def lay_out(seen: Survey, eps: float) -> Layout | None:
    """Lay the cells over the bounds; None where an axis would have too many of them."""
    side = eps / math.sqrt(2) * SHRINK
    spans = (seen.high[0] - seen.low[0], seen.high[1] - seen.low[1])
    # Far from the origin of the coordinates, bounds of cells would be rounded to more than a fraction of a side.
    farthest = max(map(abs, (*seen.low, *seen.high)))
    if side == 0 or not max(spans) / side < MOST_CELLS - 2 * REACH - 1 or not farthest / side < 2**38:
        return None
    axis = 0 if spans[0] >= spans[1] else 1
    rows, columns = (int(spans[a] / side) + 1 for a in (axis, 1 - axis))
    stride = columns + 2 * REACH + 1
    return Layout(axis, seen.low[axis], seen.low[1 - axis], 1 / side, stride, (rows + 2) * stride)


@turn()
def sort_into_cells(
    points: Floats, weights: Ints, layout: Layout, n_threads: int, index: type[np.signedinteger], compare: bool = False
) -> Cells:
    """Sort n points into cells.

    Args:
        points: float64[n, 2], metres, C-contiguous, n >= 1.
        weights: int64[n], or empty where all are 1.
        layout: from `lay_out` of these points.
        n_threads: threads in force (flows.kernels.threads).
        index: int32 or int64, able to hold n.
        compare: sort every bucket by the digits of its keys, as if the cells were sparse; for tests.
    """
    n, weighted = len(points), len(weights)
    wanted = min(max(n // POINTS_PER_BUCKET, LEAST_BUCKETS), MOST_BUCKETS)
    shift = max(0, math.ceil(math.log2(layout.n_keys / wanted)))
    n_buckets = (layout.n_keys >> shift) + 1
    points1, weights1 = np.empty((n, 2)), np.empty(weighted, np.int64)
    order, bucket = np.empty(n, index), np.empty(n, np.uint16)
    block_starts = np.zeros((n_threads, n_buckets), np.int64)
    scatter(points, weights, layout, shift, block_starts, np.empty_like(block_starts), bucket, points1, weights1, order)
    x, y, rough = np.empty(n), np.empty(n), np.empty(n, index)
    listed, before = points1.view(np.int64), np.zeros(n_buckets + 1, np.int64)
    places = np.empty((n_threads, _most_counted(block_starts[0], n, shift, n_threads) + 1), np.int32)
    sort_buckets(
        points1, listed, block_starts[0], layout, shift, compare, places,
        np.empty((n_threads, DIGITS + 1), np.int64), before,
        x, x.view(np.int64), y, y.view(np.int64), rough,
    )  # fmt: skip
    n_cells = int(before[-1])
    keys, starts = np.empty(n_cells, np.int64), np.empty(n_cells + 1, index)
    list_cells(listed, block_starts[0], before, n_threads, keys, starts)
    del points1, listed  # weights come last, in their place: all at once would be the peak of the whole fit
    weights2, weight_before = np.empty(weighted, np.int64), np.empty(n_cells + 1 if weighted else 0, np.int64)
    if weighted:
        sort_weights(weights1, rough, starts, np.zeros(n_threads + 1, np.int64), weights2, weight_before)
    return Cells(x, y, weights2, keys, starts, weight_before, rough, order, bucket, block_starts)


def _most_counted(starts: Ints, n: int, shift: int, n_threads: int) -> int:
    """Keys up to which a bucket is sorted by counting, so that all threads' counts take a share of the points' memory.

    Args:
        starts: int64[n_buckets], first point of each bucket of n points.
    """
    largest = int(np.diff(starts, append=n).max())
    return min(1 << shift, 4 * largest + 256, max(1 << 16, 4 * n // n_threads))
