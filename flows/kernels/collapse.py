"""Collapse equal grid keys to unique ones in first-occurrence order, by partitioned hashing.

Keys are scattered into partitions that fit a core's cache, each partition is collapsed by one thread with open
addressing (Balkesen et al., Main-Memory Hash Joins on Multi-Core CPUs, ICDE 2013), and first occurrences are then
numbered in input order. The scatter is stable, so the result does not depend on the number of threads.

No kernel allocates: an error inside a parallel loop would be lost (flows.kernels). Tables of slots are sized for usual
partitions; one that holds more distinct keys is done again with a larger table.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from flows.kernels.threads import turn

KEYS_PER_PARTITION = 8192
USUAL_SLOTS = 4 * KEYS_PER_PARTITION
"""Slots of a table at first; half of them may be taken."""
Keys = NDArray[np.int64]
Index = NDArray[np.int32] | NDArray[np.int64]

_MIX = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, inline="always")
def _hash(key: np.int64) -> np.uint64:
    mixed = np.uint64(key) * _MIX
    return (mixed ^ (mixed >> np.uint64(32))) * _MIX


@njit(parallel=True, cache=True)
def scatter(keys: Keys, bits: int, starts: Keys, bounds: Keys, part_keys: Keys, part_index: Index) -> None:
    """Group keys and their indices by the top bits of the hash, stably.

    Args:
        starts: int64[n_blocks, n_partitions] zeros, overwritten. bounds: int64[n_partitions + 1], written: where each
            partition begins.
    """
    n, n_blocks, n_parts = len(keys), len(starts), 1 << bits
    shift = np.uint64(64 - bits)
    for block in prange(n_blocks):
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            starts[block, np.int64(_hash(keys[i]) >> shift)] += 1
    total = 0
    for part in range(n_parts):
        bounds[part] = total
        for block in range(n_blocks):
            count = starts[block, part]
            starts[block, part] = total
            total += int(count)
    bounds[n_parts] = total
    for block in prange(n_blocks):
        place_of = starts[block]
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            home = np.int64(_hash(keys[i]) >> shift)
            place = place_of[home]
            part_keys[place] = keys[i]
            part_index[place] = i
            place_of[home] = place + 1


@njit(parallel=True, cache=True)
def find_first(
    part_keys: Keys,
    part_index: Index,
    bounds: Keys,
    parts: Keys,
    slot_key: Keys,
    slot_first: Index,
    slot_count: Keys,
    first: Index,
    counts: Index,
    done: NDArray[np.bool_],
) -> None:
    """For each key the index of its first occurrence (first), and there how often it occurs (counts, else 0).

    Args:
        parts: int64[m], the partitions to do. done: bool[m], written: whether the table was large enough.
        slot_key, slot_first, slot_count: [n_tables, n_slots], the table of each thread; n_slots is a power of 2.
    """
    n_tables, n_slots = slot_key.shape
    for table in prange(n_tables):
        table_key, table_first, table_count = slot_key[table], slot_first[table], slot_count[table]
        for p in range(table, len(parts), n_tables):
            start, stop = bounds[parts[p]], bounds[parts[p] + 1]
            size = 16
            while size < 2 * (stop - start) and size < n_slots:
                size *= 2
            mask = np.uint64(size - 1)
            for slot in range(size):
                table_first[slot] = -1
            left, fits = size // 2, True
            for place in range(start, stop):
                key = part_keys[place]
                slot = _hash(key) & mask
                while table_first[slot] >= 0 and table_key[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if table_first[slot] < 0:
                    if left == 0:
                        fits = False
                        break
                    left -= 1
                    table_key[slot] = key
                    table_first[slot] = part_index[place]
                    table_count[slot] = 0
                table_count[slot] += 1
                first[part_index[place]] = table_first[slot]
            done[p] = fits
            if fits:
                for slot in range(size):
                    if table_first[slot] >= 0:
                        counts[table_first[slot]] = table_count[slot]


@njit(parallel=True, cache=True)
def count_unique(counts: Index, before: Keys) -> None:
    """Write before: int64[n_blocks + 1], how many first occurrences lie before each block, at last their number."""
    n, n_blocks = len(counts), len(before) - 1
    before[0] = 0
    for block in prange(n_blocks):
        found = 0
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            found += counts[i] > 0
        before[block + 1] = found
    for block in range(n_blocks):
        before[block + 1] += before[block]


@njit(parallel=True, cache=True)
def gather(keys: Keys, counts: Index, before: Keys, first: Index, xy_m: NDArray[np.float64], weights: Keys) -> None:
    """Write unique points (metres) and weights in first-occurrence order; turn `first` into the inverse."""
    n, n_blocks = len(keys), len(before) - 1
    for block in prange(n_blocks):
        rank = before[block]
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            if counts[i] > 0:
                xy_m[rank, 0] = (keys[i] >> 32) / 1024.0
                xy_m[rank, 1] = np.int32(keys[i] & 0xFFFFFFFF) / 1024.0
                weights[rank] = counts[i]
                counts[i] = rank
                rank += 1
    for block in prange(n_blocks):
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            first[i] = counts[first[i]]


@turn()
def collapse(keys: Keys, n_blocks: int) -> tuple[NDArray[np.float64], Keys, Index]:
    """Collapse n grid keys.

    Args:
        keys: int64[n] grid keys.
        n_blocks: pieces that threads share, one or two per thread.

    Returns:
        xy_m: float64[u, 2] unique points in metres, in first-occurrence order.
        weights: int64[u], how often each occurs.
        inverse: int32[n] (int64 from 2^31 keys on), index into xy_m of each key.

    Raises:
        MemoryError: memory was refused.
        RuntimeError: the weights do not add up to n.
    """
    n = len(keys)
    bits = max(1, min(14, (n // KEYS_PER_PARTITION).bit_length()))
    part_keys, part_index = np.empty(n, np.int64), _indices(n)
    starts, bounds = np.zeros((n_blocks, 1 << bits), np.int64), np.empty((1 << bits) + 1, np.int64)
    scatter(keys, bits, starts, bounds, part_keys, part_index)
    first, counts = _indices(n), _indices(n)
    _find_all(part_keys, part_index, bounds, n_blocks, first, counts)
    del part_keys, part_index
    before = np.empty(n_blocks + 1, np.int64)
    count_unique(counts, before)
    xy_m, weights = np.empty((before[-1], 2)), np.zeros(before[-1], np.int64)
    gather(keys, counts, before, first, xy_m, weights)
    if weights.sum() != n:
        raise RuntimeError(f"{n} points were collapsed to weights of {weights.sum()}: this result can't be used")
    return xy_m, weights, first


def _find_all(part_keys: Keys, part_index: Index, bounds: Keys, n_tables: int, first: Index, counts: Index) -> None:
    """`find_first` of all partitions, with larger tables for those whose distinct keys fill the usual ones."""
    parts, sizes = np.arange(len(bounds) - 1), np.diff(bounds)
    n_slots = USUAL_SLOTS
    while len(parts):
        n_slots = min(n_slots, _power_of_2(2 * int(sizes[parts].max())))
        tables = (n_tables, n_slots)
        slot_key, slot_first = np.empty(tables, np.int64), np.empty(tables, part_index.dtype)
        done = np.zeros(len(parts), np.bool_)
        find_first(
            part_keys, part_index, bounds, parts, slot_key, slot_first, np.empty(tables, np.int64), first, counts, done
        )
        parts, n_tables, n_slots = parts[~done], 1, 8 * n_slots


def _power_of_2(least: int) -> int:
    return max(16, 1 << (least - 1).bit_length())


def _indices(n: int) -> Index:
    """Zeros that can hold an index below n."""
    return np.zeros(n, np.int32) if n < 2**31 else np.zeros(n, np.int64)


def warm_up() -> None:
    """Compile, or load from the cache, every kernel of this module."""
    collapse(np.zeros(1, np.int64), 1)
