"""Collapse equal grid keys to unique ones in first-occurrence order, by partitioned hashing.

Keys are scattered into partitions that fit a core's cache, each partition is collapsed by one thread with open
addressing (Balkesen et al., Main-Memory Hash Joins on Multi-Core CPUs, ICDE 2013), and first occurrences are then
numbered in input order. The scatter is stable, so the result does not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

KEYS_PER_PARTITION = 8192
Keys = NDArray[np.int64]
Index = NDArray[np.int32] | NDArray[np.int64]

_MIX = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, inline="always")
def _hash(key: np.int64) -> np.uint64:
    mixed = np.uint64(key) * _MIX
    return (mixed ^ (mixed >> np.uint64(32))) * _MIX


@njit(parallel=True, cache=True)
def scatter(keys: Keys, bits: int, n_blocks: int, part_keys: Keys, part_index: Index) -> Keys:
    """Group keys and their indices by the top bits of the hash, stably; give the partitions' starts."""
    n, n_parts = len(keys), 1 << bits
    shift = np.uint64(64 - bits)
    starts = np.zeros((n_blocks, n_parts), np.int64)
    for block in prange(n_blocks):
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            starts[block, np.int64(_hash(keys[i]) >> shift)] += 1
    bounds = np.zeros(n_parts + 1, np.int64)
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
    return bounds


@njit(parallel=True, cache=True)
def find_first(part_keys: Keys, part_index: Index, bounds: Keys, first: Index, counts: Index) -> None:
    """For each key the index of its first occurrence (first), and there how often it occurs (counts, else 0)."""
    for part in prange(len(bounds) - 1):
        start, stop = bounds[part], bounds[part + 1]
        size = 16
        while size < 2 * (stop - start):
            size *= 2
        mask = np.uint64(size - 1)
        slot_key = np.empty(size, np.int64)
        slot_first = np.full(size, -1, part_index.dtype)
        slot_count = np.zeros(size, np.int64)
        for place in range(start, stop):
            key = part_keys[place]
            slot = _hash(key) & mask
            while slot_first[slot] >= 0 and slot_key[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if slot_first[slot] < 0:
                slot_key[slot] = key
                slot_first[slot] = part_index[place]
            slot_count[slot] += 1
            first[part_index[place]] = slot_first[slot]
        for slot in range(size):
            if slot_first[slot] >= 0:
                counts[slot_first[slot]] = slot_count[slot]


@njit(parallel=True, cache=True)
def count_unique(counts: Index, n_blocks: int) -> Keys:
    """How many first occurrences lie before each block; the last entry is their number."""
    n = len(counts)
    before = np.zeros(n_blocks + 1, np.int64)
    for block in prange(n_blocks):
        found = 0
        for i in range(n * block // n_blocks, n * (block + 1) // n_blocks):
            found += counts[i] > 0
        before[block + 1] = found
    for block in range(n_blocks):
        before[block + 1] += before[block]
    return before


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


def collapse(keys: Keys, n_blocks: int) -> tuple[NDArray[np.float64], Keys, Index]:
    """Collapse n grid keys.

    Args:
        keys: int64[n] grid keys.
        n_blocks: pieces that threads share, one or two per thread.

    Returns:
        xy_m: float64[u, 2] unique points in metres, in first-occurrence order.
        weights: int64[u], how often each occurs.
        inverse: int32[n] (int64 from 2^31 keys on), index into xy_m of each key.
    """
    n = len(keys)
    bits = max(1, min(14, (n // KEYS_PER_PARTITION).bit_length()))
    part_keys, part_index = np.empty(n, np.int64), _indices(n)
    bounds = scatter(keys, bits, n_blocks, part_keys, part_index)
    first, counts = _indices(n), _indices(n)
    find_first(part_keys, part_index, bounds, first, counts)
    del part_keys, part_index
    before = count_unique(counts, n_blocks)
    xy_m, weights = np.empty((before[-1], 2)), np.empty(before[-1], np.int64)
    gather(keys, counts, before, first, xy_m, weights)
    return xy_m, weights, first


def _indices(n: int) -> Index:
    """Zeros that can hold an index below n."""
    return np.zeros(n, np.int32) if n < 2**31 else np.zeros(n, np.int64)


def warm_up() -> None:
    """Compile, or load from the cache, every kernel of this module."""
    collapse(np.zeros(1, np.int64), 1)
