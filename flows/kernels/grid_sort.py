"""The two passes that sort points into cells (flows.kernels.grid_cells), and the lists of cells and weights.

All memory is passed in: nothing is allocated in a parallel loop (flows.kernels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.kernels.grid_cells import Floats, Index, Ints, LayoutTuple

DIGIT_BITS = 11
DIGITS = 1 << DIGIT_BITS
"""Of a key, where a bucket's keys are too many to be counted one by one."""


@njit(cache=True, inline="always")
def _key(row_m, column_m, row0, column0, per_m, stride):  # type: ignore[no-untyped-def]
    return np.int64((row_m - row0) * per_m) * stride + np.int64((column_m - column0) * per_m)


@njit(parallel=True, cache=True, error_model="numpy")
def scatter(
    points: Floats,
    weights: Ints,
    layout: LayoutTuple,
    shift: int,
    block_starts: Ints,
    block_places: Ints,
    buckets: NDArray[np.uint16],
    out_points: Floats,
    out_weights: Ints,
    out_order: Index,
) -> None:
    """Group points by bucket (key >> shift), stably.

    Args:
        block_starts: int64[n_threads, n_buckets], zeros; written: where each block's points of each bucket begin.
        block_places: int64[n_threads, n_buckets], overwritten.
    """
    axis, row0, column0, per_m, stride, _ = layout
    n, weighted = len(points), len(out_weights) > 0
    n_threads, n_buckets = block_starts.shape
    for thread in prange(n_threads):
        counts = block_starts[thread]
        for i in range(n * thread // n_threads, n * (thread + 1) // n_threads):
            bucket = _key(points[i, axis], points[i, 1 - axis], row0, column0, per_m, stride) >> shift
            buckets[i] = bucket
            counts[bucket] += 1
    total = 0
    for bucket in range(n_buckets):
        for thread in range(n_threads):
            count = block_starts[thread, bucket]
            block_starts[thread, bucket] = total
            block_places[thread, bucket] = total
            total += count
    for thread in prange(n_threads):
        places = block_places[thread]
        for i in range(n * thread // n_threads, n * (thread + 1) // n_threads):
            place = places[buckets[i]]
            places[buckets[i]] = place + 1
            out_points[place, 0] = points[i, 1 - axis]
            out_points[place, 1] = points[i, axis]
            out_order[place] = i
            if weighted:
                out_weights[place] = weights[i]


@njit(cache=True, error_model="numpy")
def _bring(points, start, stop, x, y, rough):  # type: ignore[no-untyped-def]
    for place in range(start, stop):
        source = rough[place]
        x[place], y[place] = points[source, 0], points[source, 1]


@njit(cache=True, error_model="numpy")
def _sort_by_counting(points, start, stop, keys, n_keys, places, cells, x, y, rough):  # type: ignore[no-untyped-def]
    """Sort a bucket. keys: of its points from n_keys on down, in the memory of x; places: room for n_keys + 1."""
    for key in range(n_keys + 1):
        places[key] = 0
    for i in range(start, stop):
        places[keys[i] + 1] += 1
    for key in range(n_keys):
        places[key + 1] += places[key]
    for i in range(start, stop):
        rough[start + places[keys[i]]] = i
        places[keys[i]] += 1
    _bring(points, start, stop, x, y, rough)
    # places[key] is now where the cell ends. The points' old places are free: they take the list of cells.
    found, begin = 0, np.int32(0)
    for key in range(n_keys):
        if places[key] > begin:
            cells[start + found, 0], cells[start + found, 1] = key, start + begin
            found += 1
            begin = places[key]
    return found


@njit(cache=True, error_model="numpy")
def _sort_digit(keys, least, shift, start, stop, before, after, ends):  # type: ignore[no-untyped-def]
    """One pass of `_rank`: the numbers in before[start:stop] by one digit of their keys, stably, into after."""
    for digit in range(DIGITS + 1):
        ends[digit] = 0
    for i in range(start, stop):
        ends[((keys[before[i]] - least) >> shift & (DIGITS - 1)) + 1] += 1
    for digit in range(DIGITS):
        ends[digit + 1] += ends[digit]
    for i in range(start, stop):
        digit = (keys[before[i]] - least) >> shift & (DIGITS - 1)
        after[start + ends[digit]] = before[i]
        ends[digit] += 1


@njit(cache=True, error_model="numpy")
def _rank(keys, least, most, start, stop, ranked, spare, ends):  # type: ignore[no-untyped-def]
    """Write into ranked the numbers from start to stop - 1 in the order of their keys: a radix sort, stable."""
    n_digits = 1
    while (most - least) >> (n_digits * DIGIT_BITS) > 0:
        n_digits += 1
    for i in range(start, stop):
        ranked[i] = i
        spare[i] = i
    for digit in range(n_digits):
        if (n_digits - digit) % 2 == 1:  # the last pass ends in ranked
            _sort_digit(keys, least, digit * DIGIT_BITS, start, stop, spare, ranked, ends)
        else:
            _sort_digit(keys, least, digit * DIGIT_BITS, start, stop, ranked, spare, ends)


@njit(parallel=True, cache=True, error_model="numpy")
def sort_buckets(
    points: Floats,
    cells: Ints,
    starts: Ints,
    layout: LayoutTuple,
    shift: int,
    compare: bool,
    all_places: NDArray[np.int32],
    all_ends: Ints,
    before: Ints,
    x: Floats,
    x_memory: Ints,
    y: Floats,
    y_memory: Ints,
    rough: Index,
) -> None:
    """Sort each bucket by key, and list its cells (key, first point).

    Args:
        cells: int64[n, 2], the memory of `points`. x_memory, y_memory: int64[n], the memory of `x` and `y`, where keys
            and ranks lie until the coordinates come.
        all_places: int32[n_threads, most keys of a bucket that is sorted by counting + 1], overwritten.
        all_ends: int64[n_threads, DIGITS + 1], overwritten.
        before: int64[n_buckets + 1], zeros; written: cells before each bucket.
    """
    _, row0, column0, per_m, stride, _ = layout
    n, n_buckets, n_threads = len(points), len(starts), len(all_places)
    for thread in prange(n_threads):
        places, ends = all_places[thread], all_ends[thread]
        first = np.searchsorted(starts, n * thread // n_threads)
        last = np.searchsorted(starts, n * (thread + 1) // n_threads) if thread + 1 < n_threads else n_buckets
        for bucket in range(first, last):
            start, stop = starts[bucket], starts[bucket + 1] if bucket + 1 < n_buckets else n
            if stop == start:
                continue
            base = np.int64(bucket) << shift
            least, most = np.int64(2**62), np.int64(0)
            for i in range(start, stop):
                key = _key(points[i, 1], points[i, 0], row0, column0, per_m, stride) - base
                x_memory[i] = key
                least, most = min(least, key), max(most, key)
            n_keys = most - least + 1
            found = 0
            if compare or n_keys > 4 * (stop - start) + 256 or n_keys >= len(places) or stop - start >= 2**31:
                _rank(x_memory, least, most, start, stop, rough, y_memory, ends)
                _bring(points, start, stop, x, y, rough)
                last_key = np.int64(-1)
                for i in range(start, stop):
                    key = _key(y[i], x[i], row0, column0, per_m, stride) - base
                    if key != last_key:
                        cells[start + found, 0], cells[start + found, 1] = key, i
                        found += 1
                        last_key = key
                least = np.int64(0)
            else:
                for i in range(start, stop):
                    x_memory[i] -= least
                found = _sort_by_counting(points, start, stop, x_memory, n_keys, places, cells, x, y, rough)
            for cell in range(start, start + found):
                cells[cell, 0] += base + least
            before[bucket + 1] = found
    for bucket in range(n_buckets):
        before[bucket + 1] += before[bucket]


@njit(parallel=True, cache=True, error_model="numpy")
def list_cells(cells: Ints, bucket_starts: Ints, before: Ints, n_threads: int, keys: Ints, starts: Index) -> None:
    """Bring the buckets' cells together: write keys: int64[k] and starts: index[k + 1]."""
    n, n_buckets, n_cells = len(cells), len(bucket_starts), len(keys)
    starts[n_cells] = n
    for thread in prange(n_threads):
        for bucket in range(n_buckets * thread // n_threads, n_buckets * (thread + 1) // n_threads):
            for i in range(before[bucket + 1] - before[bucket]):
                keys[before[bucket] + i] = cells[bucket_starts[bucket] + i, 0]
                starts[before[bucket] + i] = cells[bucket_starts[bucket] + i, 1]


@njit(parallel=True, cache=True, error_model="numpy")
def sort_weights(
    weights: Ints, rough: Index, starts: Index, sums: Ints, out_weights: Ints, weight_before: Ints
) -> None:
    """Bring weights from their places after the first pass into cell order, and sum them up.

    Args:
        sums: int64[n_threads + 1], zeros, overwritten.
    """
    n_cells, n_threads = len(starts) - 1, len(sums) - 1
    for thread in prange(n_threads):
        total = np.int64(0)
        for cell in range(n_cells * thread // n_threads, n_cells * (thread + 1) // n_threads):
            for i in range(starts[cell], starts[cell + 1]):
                weight = weights[rough[i]]
                out_weights[i] = weight
                total += weight
            weight_before[cell + 1] = total
        sums[thread + 1] = total
    for thread in range(n_threads):
        sums[thread + 1] += sums[thread]
    weight_before[0] = 0
    for thread in prange(n_threads):
        for cell in range(n_cells * thread // n_threads, n_cells * (thread + 1) // n_threads):
            weight_before[cell + 1] += sums[thread]
