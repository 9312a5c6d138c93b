"""Cells joined into clusters: two cells belong together where a core point of each lies within eps of the other.

Cells are joined by union-find with the lowest cell as root. Threads own runs of consecutive cells ("stripes") and join
what lies inside; then neighbouring stripes are joined pairwise, then pairs of pairs, each by one thread that alone
touches both. So no thread ever writes what another reads, and the components do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from flows.kernels.grid_cells import Floats, Index, Ints, LayoutTuple
from flows.kernels.grid_walk import OWN_ROW, ROWS, neighbourhoods, start_walk, walk_to, weight_of
from flows.kernels.threads import turn

QUICK_TRIES = 2048
"""Distances after which two cells are searched by halving instead."""
LEAF = 8
STACK = 512


@njit(cache=True, error_model="numpy")
def _root(parents, cell):  # type: ignore[no-untyped-def]
    while parents[cell] != cell:
        parents[cell] = parents[parents[cell]]
        cell = parents[cell]
    return cell


@njit(cache=True, error_model="numpy")
def _core_points(starts, cell, full, counts, min_samples, scratch):  # type: ignore[no-untyped-def]
    """Positions of a cell's core points, in the cell's own part of scratch."""
    found = starts[cell]
    for p in range(starts[cell], starts[cell + 1]):
        if full or counts[p] >= min_samples:
            scratch[found] = p
            found += 1
    return scratch[starts[cell] : found]


@njit(cache=True, error_model="numpy")
def _bounds(x, y, members, start, stop):  # type: ignore[no-untyped-def]
    x_low, x_high, y_low, y_high = np.inf, -np.inf, np.inf, -np.inf
    for i in range(start, stop):
        p = members[i]
        x_low, x_high = min(x_low, x[p]), max(x_high, x[p])
        y_low, y_high = min(y_low, y[p]), max(y_high, y[p])
    return x_low, x_high, y_low, y_high


@njit(cache=True, error_model="numpy")
def _halve(values, members, start, stop, middle):  # type: ignore[no-untyped-def]
    """Put members with values up to the middle first; give where the others begin."""
    last = stop - 1
    while start <= last:
        if values[members[start]] <= middle:
            start += 1
        else:
            members[start], members[last] = members[last], members[start]
            last -= 1
    return start


@njit(cache=True, error_model="numpy")
def _linked_by_halving(x, y, a, b, eps_squared, stack):  # type: ignore[no-untyped-def]
    """Whether any of the points a lies within eps of any of b, by halving boxes (dual-tree search).

    Depth first, so a range is only ever reordered while nothing else refers to a part of it.
    """
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, len(a), 0, len(b)
    depth = 1
    while depth > 0:
        depth -= 1
        a0, a1, b0, b1 = stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3]
        ax0, ax1, ay0, ay1 = _bounds(x, y, a, a0, a1)
        bx0, bx1, by0, by1 = _bounds(x, y, b, b0, b1)
        dx, dy = max(bx0 - ax1, ax0 - bx1, 0.0), max(by0 - ay1, ay0 - by1, 0.0)
        if dx * dx + dy * dy > eps_squared:
            continue
        dx, dy = max(bx1 - ax0, ax1 - bx0), max(by1 - ay0, ay1 - by0)
        if dx * dx + dy * dy <= eps_squared:
            return True
        width_a, width_b = max(ax1 - ax0, ay1 - ay0), max(bx1 - bx0, by1 - by0)
        small = (a1 - a0 <= LEAF or width_a == 0) and (b1 - b0 <= LEAF or width_b == 0)
        if small or depth + 2 > STACK:
            for i in range(a0, a1):
                for j in range(b0, b1):
                    dx, dy = x[a[i]] - x[b[j]], y[a[i]] - y[b[j]]
                    if dx * dx + dy * dy <= eps_squared:
                        return True
                    if width_b == 0:
                        break
                if width_a == 0:
                    break
        elif b1 - b0 <= LEAF or (a1 - a0 > LEAF and width_a >= width_b):
            if ax1 - ax0 >= ay1 - ay0:
                cut = _halve(x, a, a0, a1, ax0 + (ax1 - ax0) / 2)
            else:
                cut = _halve(y, a, a0, a1, ay0 + (ay1 - ay0) / 2)
            stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3] = a0, cut, b0, b1
            stack[depth + 1, 0], stack[depth + 1, 1], stack[depth + 1, 2], stack[depth + 1, 3] = cut, a1, b0, b1
            depth += 2
        else:
            if bx1 - bx0 >= by1 - by0:
                cut = _halve(x, b, b0, b1, bx0 + (bx1 - bx0) / 2)
            else:
                cut = _halve(y, b, b0, b1, by0 + (by1 - by0) / 2)
            stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3] = a0, a1, b0, cut
            stack[depth + 1, 0], stack[depth + 1, 1], stack[depth + 1, 2], stack[depth + 1, 3] = a0, a1, cut, b1
            depth += 2
    return False


@njit(cache=True, error_model="numpy")
def _linked(  # type: ignore[no-untyped-def]
    x, y, starts, counts, a, b, a_full, b_full, min_samples, eps_squared, scratch, stack
):
    """Whether a core point of cell a lies within eps of one of cell b."""
    tries = QUICK_TRIES
    for p in range(starts[a], starts[a + 1]):
        if not a_full and counts[p] < min_samples:
            continue
        for q in range(starts[b], starts[b + 1]):
            dx, dy = x[p] - x[q], y[p] - y[q]
            if dx * dx + dy * dy <= eps_squared and (b_full or counts[q] >= min_samples):
                return True
        tries -= starts[b + 1] - starts[b]
        if tries < 0:
            a_core = _core_points(starts, a, a_full, counts, min_samples, scratch)
            b_core = _core_points(starts, b, b_full, counts, min_samples, scratch)
            return _linked_by_halving(x, y, a_core, b_core, eps_squared, stack)
    return False


@njit(cache=True, error_model="numpy")
def _join_run(  # type: ignore[no-untyped-def]
    x, y, keys, starts, weight_before, counts, stride, eps_squared, min_samples, begin, end, low, high, parents,
    scratch, rows, stack,
):  # fmt: skip
    """Join the cells [begin, end) with those of [low, high) that come later.

    Cells that touch come first: that mostly settles the others too, which would cost more distances.
    """
    if begin == end:
        return
    for far in range(2):
        start_walk(keys, begin, stride, rows)
        for cell in range(begin, end):
            if parents[cell] < 0:
                continue
            walk_to(keys, cell, stride, rows, OWN_ROW)
            full = weight_of(cell, cell + 1, starts, weight_before) >= min_samples
            root = _root(parents, cell)
            for r in range(OWN_ROW, ROWS):
                target = keys[cell] + (r - OWN_ROW) * stride
                for other in range(max(rows[r, 0], cell + 1, low), min(rows[r, 1], high)):
                    is_far = r - OWN_ROW == 2 or abs(keys[other] - target) == 2
                    if is_far != (far == 1) or parents[other] < 0:
                        continue
                    other_root = _root(parents, other)
                    if other_root == root:
                        continue
                    other_full = weight_of(other, other + 1, starts, weight_before) >= min_samples
                    if _linked(
                        x, y, starts, counts, cell, other, full, other_full, min_samples, eps_squared, scratch, stack
                    ):
                        parents[max(root, other_root)] = min(root, other_root)
                        root = min(root, other_root)


@njit(parallel=True, cache=True, error_model="numpy")
def _join_cells(
    x: Floats,
    y: Floats,
    rough: Index,
    order: Index,
    keys: Ints,
    starts: Index,
    weight_before: Ints,
    counts: Ints,
    layout: LayoutTuple,
    eps: float,
    min_samples: int,
    bounds: Ints,
    walks: Ints,
    stacks: Ints,
    scratch: Index,
    parents: Index,
    firsts: Index,
) -> None:
    stride, eps_squared = layout[4], eps * eps
    n, n_cells, n_threads = len(x), len(keys), len(walks)
    bounds[n_threads] = n_cells
    for thread in range(n_threads):  # stripes of as many points as cells, together
        low, high, wanted = 0, n_cells, (n + 4 * n_cells) * thread // n_threads
        while low < high:
            middle = (low + high) // 2
            if starts[middle] + 4 * middle < wanted:
                low = middle + 1
            else:
                high = middle
        bounds[thread] = low
    for thread in prange(n_threads):
        begin, end = bounds[thread], bounds[thread + 1]
        for cell in range(begin, end):
            parents[cell], firsts[cell] = -1, -1
            full = weight_of(cell, cell + 1, starts, weight_before) >= min_samples
            for p in range(starts[cell], starts[cell + 1]):
                if full or counts[p] >= min_samples:
                    parents[cell], firsts[cell] = cell, order[rough[p]]  # points of a cell are in input order
                    break
        _join_run(
            x, y, keys, starts, weight_before, counts, stride, eps_squared, min_samples,
            begin, end, begin, end, parents, scratch, walks[thread], stacks[thread],
        )  # fmt: skip
    width = 1
    while width < n_threads:
        for pair in prange((n_threads + 2 * width - 1) // (2 * width)):
            begin = bounds[2 * pair * width]
            middle = bounds[min(n_threads, (2 * pair + 1) * width)]
            end = bounds[min(n_threads, 2 * (pair + 1) * width)]
            if begin < middle < end:
                near = max(begin, np.searchsorted(keys, keys[middle] - 2 * stride - 2))
                _join_run(
                    x, y, keys, starts, weight_before, counts, stride, eps_squared, min_samples,
                    near, middle, middle, end, parents, scratch, walks[pair], stacks[pair],
                )  # fmt: skip
        width *= 2
    for thread in prange(n_threads):
        for cell in range(bounds[thread], bounds[thread + 1]):
            root = parents[cell]
            while root >= 0 and parents[root] != root:
                root = parents[root]
            parents[cell] = root  # another thread that reads it meanwhile finds the same root either way


@turn()
def join_cells(
    x: Floats,
    y: Floats,
    rough: Index,
    order: Index,
    keys: Ints,
    starts: Index,
    weight_before: Ints,
    counts: Ints,
    layout: LayoutTuple,
    eps: float,
    min_samples: int,
    n_threads: int,
    scratch: Index,
    parents: Index,
    firsts: Index,
) -> None:
    """Find each cell's component and its own first core point.

    Args:
        x, y, rough, order, keys, starts, weight_before: of flows.kernels.grid_cells.Cells. layout: of the same cells.
        counts: int64[n] of flows.kernels.grid_core.count_neighbours.
        eps: metres.
        n_threads: threads in force.
        scratch: index[n], overwritten: each cell's part is used by the thread that alone touches the cell.
        parents: index[k], written: the component's lowest cell, or -1 where a cell has no core point.
        firsts: index[k], written: lowest input index of the cell's core points, or -1.
    """
    _join_cells(
        x, y, rough, order, keys, starts, weight_before, counts, layout, eps, min_samples,
        np.empty(n_threads + 1, np.int64), neighbourhoods(n_threads), np.empty((n_threads, STACK, 4), np.int64),
        scratch, parents, firsts,
    )  # fmt: skip
