"""What a worker does with one tile: find its core points, then join its cells and find its border points.

Both are exact. scikit-learn's KD tree counts and lists neighbours; lists are asked for in batches, so that memory is
bounded by the tile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import KDTree

from flows.adapters.tiles import REACH, Patch, batches, offsets, ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OFFSETS = [(dx, dy) for dx in range(-REACH, REACH + 1) for dy in range(-REACH, REACH + 1)]
_FORWARD = sorted((o for o in _OFFSETS if o > (0, 0)), key=lambda o: o[0] ** 2 + o[1] ** 2)
"""Each pair of neighbouring cells once, the nearest first: what these join needs no further look."""

_BATCH = 2**17
"""Distances or neighbours held at once."""
_SMALL_PAIR = 2**12
"""Up to this many distances, a pair of cells is compared point by point instead of with a tree."""
_PROBES = 3
"""Points of each cell that are compared before all are."""


class Joined(NamedTuple):
    """What one tile adds to the whole; cells are indices in Cells.

    left, right: int64, pairs of cells whose core points belong together; they may reach into the halo.
    point, cell: int64, a border point, counted among the tile's own in cell order, and a cell that holds a core point
        within eps: one for each group of cells that the tile could tell apart.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    point: NDArray[np.int64]
    cell: NDArray[np.int64]


class _Cores(NamedTuple):
    """A patch's core points. xy_m: float64[m, 2]. starts: int64[k + 1], by the patch's cells; some hold none."""

    patch: Patch
    xy_m: NDArray[np.float64]
    starts: NDArray[np.int64]
    eps_m: float


def find_core(patch: Patch, eps_m: float, min_samples: int) -> NDArray[np.bool_]:
    """Core flags of the tile's own points, in cell order.

    A cell whose weights reach min_samples is core without a distance; where even the cells around don't reach it, no
    point is core. The others are counted.

    Args:
        patch: its values are the weights, capped at min_samples, which changes no answer.
        eps_m: radius in metres.
        min_samples: weight within it that makes a core point.
    """
    weights = patch.value.astype(np.int64, copy=False)
    weight = np.add.reduceat(weights, patch.starts[:-1])
    core = np.repeat(weight >= min_samples, np.diff(patch.starts))
    sparse = np.flatnonzero(patch.own & (weight < min_samples))
    around = np.zeros(len(sparse), dtype=np.int64)
    for offset in _OFFSETS:
        near = patch.neighbours(sparse, *offset)
        around += np.where(near >= 0, weight[near], 0)
    asked = sparse[around >= min_samples]
    if len(asked):
        points, sources = _points_of(patch.starts, asked), _points_of(patch.starts, _with_around(patch, asked))
        core[points] = _reach(patch.xy_m[points], patch.xy_m[sources], weights[sources], eps_m, min_samples)
    return core[_own_points(patch)]


def join(patch: Patch, eps_m: float) -> Joined:
    """Join the tile's cells of core points with each other and with the halo's, and find its border points.

    Args:
        patch: its values tell which points are core.
        eps_m: radius in metres.
    """
    core = patch.value.astype(np.bool_, copy=False)
    counts = np.add.reduceat(core, patch.starts[:-1], dtype=np.int64)
    cores = _Cores(patch, patch.xy_m[core], offsets(counts), eps_m)
    left, right = _join_cells(cores)
    point, cell = _find_borders(cores, core, connect(len(counts), left, right))
    return Joined(patch.cells[left], patch.cells[right], point, patch.cells[cell])


def connect(n: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n], number of the connected component of each of n nodes, given linked pairs."""
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    component: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return component


def _reach(
    asked_m: NDArray[np.float64],
    sources_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    eps_m: float,
    min_samples: int,
) -> NDArray[np.bool_]:
    """Whether the weights within eps add up to min_samples, for each point asked.

    A tree counts points, not weights: with one tree per bit b, of the sources whose weight has it, the counts times
    2^b add up to the weight. Points of weight 1 need one tree.
    """
    total = np.zeros(len(asked_m), dtype=np.int64)
    open_ = np.arange(len(asked_m))
    for bit in range(int(weights.max()).bit_length()):
        chosen = (weights >> bit) & 1 == 1
        if chosen.any() and len(open_):
            tree = KDTree(sources_m if chosen.all() else sources_m[chosen])
            counts = tree.query_radius(asked_m[open_], eps_m, count_only=True)
            total[open_] += counts.astype(np.int64) << bit
            open_ = open_[total[open_] < min_samples]
    return total >= min_samples


def _join_cells(cores: _Cores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of local cells, one of them the tile's own, that hold core points within eps of each other.

    A pair that others already join is left out. Of two cells the one with the smaller key asks, so that over all tiles
    each pair is looked at once.
    """
    counts = np.diff(cores.starts)
    own = np.flatnonzero(cores.patch.own & (counts > 0))
    left = right = np.empty(0, dtype=np.int64)
    group = np.arange(len(counts))
    for offset in _FORWARD:
        near = cores.patch.neighbours(own, *offset)
        open_ = (near >= 0) & (counts[near] > 0) & (group[own] != group[near])
        a, b = own[open_], near[open_]
        linked = _within_eps(cores, a, b)
        if linked.any():
            left, right = np.append(left, a[linked]), np.append(right, b[linked])
            group = connect(len(counts), left, right)
    return left, right


def _within_eps(cores: _Cores, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether cells a[i] and b[i] hold core points within eps of each other: a few are tried, then all."""
    linked = _probe(cores, a, b)
    sizes = np.diff(cores.starts)[a] * np.diff(cores.starts)[b]
    small = np.flatnonzero(~linked & (sizes <= _SMALL_PAIR))
    for part in batches(sizes[small], _BATCH):
        linked[small[part]] = _compare_all(cores, a[small[part]], b[small[part]])
    for i in np.flatnonzero(~linked & (sizes > _SMALL_PAIR)):
        linked[i] = _compare_by_tree(cores, int(a[i]), int(b[i]))
    return linked


def _probe(cores: _Cores, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    linked = np.zeros(len(a), dtype=np.bool_)
    counts = np.diff(cores.starts)
    for i in range(_PROBES):
        p = cores.starts[a] + counts[a] * i // _PROBES
        for j in range(_PROBES):
            q = cores.starts[b] + counts[b] * j // _PROBES
            linked |= _near(cores.xy_m[p], cores.xy_m[q], cores.eps_m)
    return linked


def _compare_all(cores: _Cores, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    counts = np.diff(cores.starts)
    starts = offsets(counts[a] * counts[b])
    pair = np.repeat(np.arange(len(a)), np.diff(starts))
    p, q = np.divmod(np.arange(starts[-1]) - starts[pair], counts[b][pair])
    near = _near(cores.xy_m[cores.starts[a][pair] + p], cores.xy_m[cores.starts[b][pair] + q], cores.eps_m)
    return np.logical_or.reduceat(near, starts[:-1])


def _compare_by_tree(cores: _Cores, a: int, b: int) -> bool:
    small, large = sorted((cores.xy_m[cores.starts[i] : cores.starts[i + 1]] for i in (a, b)), key=len)
    small = small[_near(small, np.clip(small, large.min(axis=0), large.max(axis=0)), cores.eps_m)]
    large = (
        large[_near(large, np.clip(large, small.min(axis=0), small.max(axis=0)), cores.eps_m)] if len(small) else large
    )
    if not len(small) or not len(large):
        return False
    nearest = KDTree(large).query(small, return_distance=False)[:, 0]
    return bool(_near(small, large[nearest], cores.eps_m).any())


def _find_borders(
    cores: _Cores, core: NDArray[np.bool_], group: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tile's border points, and for each and every group of cells in its reach one local cell of the group.

    No more than min_samples - 1 core points lie within eps of a point that isn't core.
    """
    patch = cores.patch
    asked = np.flatnonzero(~core & _own_points(patch))
    sources = _points_of(cores.starts, _with_around(patch, np.unique(_cell_of(patch.starts, asked))))
    if not len(asked) or not len(sources):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    tree = KDTree(cores.xy_m[sources])
    counts = tree.query_radius(patch.xy_m[asked], cores.eps_m, count_only=True)
    asked, counts = asked[counts > 0], counts[counts > 0]
    # The group's first cell stands for it.
    first = np.unique(group, return_index=True)[1][group]
    place = np.cumsum(_own_points(patch)) - 1
    source_cell = first[_cell_of(cores.starts, sources)]
    found = []
    for part in batches(counts, _BATCH):
        lists = tree.query_radius(patch.xy_m[asked[part]], cores.eps_m)
        cells = source_cell[np.concatenate(lists)]
        found.append(_distinct_pairs(place[asked[part]], counts[part], cells))
    point, cell = np.concatenate(found, axis=1) if found else np.empty((2, 0), dtype=np.int64)
    return point, cell


def _distinct_pairs(
    points: NDArray[np.int64], counts: NDArray[np.int64], cells: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64[2, m], distinct pairs of points[i] and the counts[i] cells that follow each other."""
    starts = offsets(counts)[:-1]
    lowest, highest = np.minimum.reduceat(cells, starts), np.maximum.reduceat(cells, starts)
    several = np.flatnonzero(lowest != highest)
    # One key per pair: only points between two groups take part, so sorting these is cheap.
    base = int(cells.max()) + 1
    keys = np.unique(np.repeat(several, counts[several]) * base + cells[ranges(starts[several], counts[several])])
    one = lowest == highest
    return np.concatenate([[points[one], lowest[one]], [points[keys // base], keys % base]], axis=1)


def _near(p_m: NDArray[np.float64], q_m: NDArray[np.float64], eps_m: float) -> NDArray[np.bool_]:
    dx, dy = (p_m - q_m).T
    near: NDArray[np.bool_] = dx * dx + dy * dy <= eps_m * eps_m
    return near


def _with_around(patch: Patch, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cells and all that may hold a neighbour of theirs, ascending."""
    marked = np.zeros(len(patch.keys), dtype=np.bool_)
    for offset in _OFFSETS:
        near = patch.neighbours(cells, *offset)
        marked[near[near >= 0]] = True
    return np.flatnonzero(marked)


def _points_of(starts: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.int64]:
    return ranges(starts[cells], starts[cells + 1] - starts[cells])


def _cell_of(starts: NDArray[np.int64], points: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(starts, points, side="right") - 1


def _own_points(patch: Patch) -> NDArray[np.bool_]:
    return np.repeat(patch.own, np.diff(patch.starts))
