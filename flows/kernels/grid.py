"""DBSCAN on a grid, exact: cells (grid_cells), core test (grid_core), joins (grid_join), labels (grid_labels).

After Gunawan, "A faster algorithm for DBSCAN" (2013), and Gan and Tao, "DBSCAN Revisited" (SIGMOD 2015); in parallel
after Wang, Gu and Shun, "Theoretically-Efficient and Practical Parallel DBSCAN" (SIGMOD 2020).

Distances are compared as dx^2 + dy^2 <= eps^2 in float64, which is exact on the 2^-10 m grid for eps up to 30 km, and
the same arithmetic as scikit-learn's k-d tree for any points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.kernels.grid_cells import Cells, Layout, lay_out, sort_into_cells, survey
from flows.kernels.grid_core import count_neighbours
from flows.kernels.grid_join import join_cells
from flows.kernels.grid_labels import label_points, number_clusters, put_back
from flows.kernels.threads import turn

MOST_INT32 = 2**30 - 1
"""Points up to which twice a label fits 32 bits."""


class Counted(NamedTuple):
    """Points in cells, and their neighbours counted for min_samples from `least` to `most`; shared by many settings."""

    cells: Cells
    layout: Layout
    eps: float
    least: int
    most: int
    counts: NDArray[np.int64]


def count(
    points: NDArray[np.float64],
    weights: NDArray[np.int64],
    layout: Layout,
    eps: float,
    least: int,
    most: int,
    n_threads: int,
    compare: bool = False,
) -> Counted:
    """Sort n >= 1 points into cells and count their neighbours.

    Args:
        points: float64[n, 2], metres.
        weights: int64[n], or empty where all are 1.
        layout: from flows.kernels.grid_cells.lay_out, of these points and eps.
        eps: metres.
        least, most: smallest and largest min_samples to come.
        n_threads: threads in force (flows.kernels.threads).
        compare: sort as if the cells were sparse; for tests.
    """
    index = np.int32 if len(points) <= MOST_INT32 else np.int64
    cells = sort_into_cells(points, weights, layout, n_threads, index, compare)
    counts = np.empty(len(points), np.int64)
    count_neighbours(
        cells.x, cells.y, cells.weights, cells.keys, cells.starts, cells.weight_before,
        layout, eps, least, most, n_threads, counts,
    )  # fmt: skip
    return Counted(cells, layout, eps, least, most, counts)


class Marked(NamedTuple):
    """Labels and core flags of n points after the first pass of the sort, and the way back; all that `label` needs."""

    marks: NDArray[np.int32] | NDArray[np.int64]
    bucket: NDArray[np.uint16]
    block_starts: NDArray[np.int64]


def mark(counted: Counted, min_samples: int, n_threads: int) -> Marked:
    """Find the clusters for one min_samples from `counted.least` to `counted.most`."""
    cells, layout, eps, counts = counted.cells, counted.layout, counted.eps, counted.counts
    parents, firsts = np.empty_like(cells.starts[:-1]), np.empty_like(cells.starts[:-1])
    marks = np.empty_like(cells.order)
    join_cells(
        cells.x, cells.y, cells.rough, cells.order, cells.keys, cells.starts, cells.weight_before, counts,
        layout, eps, min_samples, n_threads, marks, parents, firsts,
    )  # fmt: skip
    numbers = number_clusters(parents, firsts)
    label_points(
        cells.x, cells.y, cells.rough, cells.keys, cells.starts, cells.weight_before, counts,
        parents, numbers, layout, eps, min_samples, n_threads, marks,
    )  # fmt: skip
    return Marked(marks, cells.bucket, cells.block_starts)


@turn()
def label(marked: Marked) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Canonical labels: int64[n] and core flags: bool[n], in the order of the input."""
    labels, core = np.empty(len(marked.marks), np.int64), np.empty(len(marked.marks), np.bool_)
    put_back(marked.marks, marked.bucket, marked.block_starts.copy(), labels, core)
    return labels, core


def warm_up() -> None:
    """Compile, or load from the cache, every kernel of the grid."""
    points, weights = np.array([[0.0, 0.0], [0.5, 0.0], [9.0, 9.0]]), np.full(3, 2, np.int64)
    layout = lay_out(survey(points, weights, 1), 1.0)
    if layout is not None:
        label(mark(count(points, weights, layout, 1.0, 2, 3, 1), 3, 1))
