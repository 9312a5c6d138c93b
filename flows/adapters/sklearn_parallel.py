"""The `sklearn_parallel` adapter: spatial tiles in joblib workers, scikit-learn's KD tree in each, an exact merge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from flows.adapters.canonical import number_components
from flows.adapters.checks import check_input
from flows.adapters.loop import fit_each
from flows.adapters.neighbours import estimate_cells
from flows.adapters.protocol import CellFit, Fit
from flows.adapters.tiles import Box, Cells, Patch, cells_in, cut, ranges, sort_into_cells, split
from flows.adapters.workers import in_workers
from flows.core.limits import memory_limit
from flows.core.settings import load_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Result = TypeVar("_Result")

_ONE_TILE_BELOW = 20_000
_TILES_PER_WORKER = 4
"""Enough that workers end at about the same time, though tiles of as many points differ in work."""
_SMALLEST_TILE = 1_000
_BYTES_PER_POINT = 90
_BYTES_PER_CELL = 60
_BYTES_PER_TILE_POINT = 150
"""With the halo and the patch that waits."""


@dataclass(frozen=True)
class SklearnParallelAdapter:
    """DBSCAN over spatial tiles, exact for any number of tiles.

    Threads are joblib's default here, since the trees and NumPy let go of the interpreter; any other backend of
    `joblib.parallel_config` works unchanged. With `TAXI_DASK_SCHEDULER` the tiles go to the workers of that scheduler.

    The merge rule, after the disjoint-set DBSCAN of Patwary et al. (2012, "A New Scalable Parallel DBSCAN Algorithm
    Using the Disjoint-Set Data Structure") and the cells of Gan and Tao (2015), and why it is exact:

    1. Each tile decides which of its own points are core. Its halo holds every neighbour of theirs, so it counts what
       a single run would. Tiles part the points, so each flag is decided once.
    2. Two core points are directly linked if they lie within eps; clusters are the connected components. Core points
       of one cell are all linked, so it is enough to connect cells: A and B where some core point of A is within eps
       of one of B. Each such pair is looked at by the tile that owns the cell with the lower key, whose halo holds the
       other cell whole, with the core flags of step 1. A pair is left out only where pairs already found connect the
       two cells. So the pairs of all tiles together connect exactly what all links would: nothing is linked that is
       more than eps apart, and every link lies within one component. Components over all pairs are the clusters.
    3. For each of its border points a tile lists a cell of each group that it sees within eps. Two groups of one tile
       may be one cluster by way of another tile; therefore border points get their label only after the clusters are
       numbered over all tiles: the lowest among those listed, which is the lowest in reach, since the cells of a group
       belong to one cluster and every core point within eps is in the halo.

    tile_points: most points in a tile without its halo; None: chosen from the memory that is left and from n_jobs.
    """

    tile_points: int | None = None
    name = "sklearn_parallel"

    def load(self) -> None:
        """Import scikit-learn, SciPy and joblib."""
        import joblib  # noqa: F401

        import flows.adapters.tile_work  # noqa: F401

    def estimate_bytes(self, points_m: NDArray[np.float64], eps_m: float, min_samples: int, n_jobs: int) -> int:
        """Estimate the peak memory: arrays over all points, and the tiles that are at work or wait at once."""
        n = len(points_m)
        tile_points = self._tile_points(n, n_jobs)
        n_cells = estimate_cells(points_m, eps_m)
        at_once = min(n, tile_points * n_jobs) if n > tile_points and n_cells > 1 else 0
        return n * _BYTES_PER_POINT + n_cells * _BYTES_PER_CELL + at_once * _BYTES_PER_TILE_POINT

    def fit(
        self,
        points_m: NDArray[np.float64],
        weights: NDArray[np.int64],
        eps_m: float,
        min_samples: int,
        n_jobs: int,
    ) -> Fit:
        """Cluster; see `Adapter.fit`.

        Raises:
            ParameterError: the input can't be clustered.
        """
        check_input(points_m, weights, eps_m, min_samples, n_jobs)
        eps_m, min_samples, n_jobs = float(eps_m), int(min_samples), int(n_jobs)  # those of NumPy would overflow
        n = len(points_m)
        if n == 0:
            return Fit(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_))
        cells = sort_into_cells(points_m, eps_m)
        tiling = _Tiling(cells, split(cells, self._tile_points(n, n_jobs)), points_m[cells.order], n_jobs)
        core = _core_flags(tiling, np.minimum(weights, min_samples)[cells.order], eps_m, min_samples)
        return _merge(tiling, core, eps_m)

    def fit_many(
        self,
        points_m: NDArray[np.float64],
        weights: NDArray[np.int64],
        eps_values_m: Sequence[float],
        min_samples_values: Sequence[int],
        n_jobs: int,
    ) -> list[CellFit]:
        """Cluster with every combination, one after the other; see `Adapter.fit_many`."""
        return fit_each(self, points_m, weights, eps_values_m, min_samples_values, n_jobs)

    def _tile_points(self, n: int, n_jobs: int) -> int:
        if self.tile_points is not None:
            return self.tile_points
        left = memory_limit(load_settings()).bytes - n * _BYTES_PER_POINT
        fitting = left // (n_jobs * _BYTES_PER_TILE_POINT)
        balanced = max(_ONE_TILE_BELOW, n // (n_jobs * _TILES_PER_WORKER))
        return max(_SMALLEST_TILE, min(fitting, balanced))


@dataclass(frozen=True, eq=False)
class _Tiling:
    """All points in cell order (xy_m: float64[n, 2]) and the tiles that part them."""

    cells: Cells
    boxes: list[Box]
    xy_m: NDArray[np.float64]
    n_jobs: int

    def each(
        self, work: Callable[[Patch], _Result], value: NDArray[np.int64] | NDArray[np.bool_]
    ) -> Iterator[tuple[NDArray[np.int64], _Result]]:
        """Do the work on each tile with its halo; gives the places in cell order of the tile's own points as well."""
        patches = (cut(self.cells, box, self.xy_m, value) for box in self.boxes)
        for box, result in zip(self.boxes, in_workers(work, patches, len(self.boxes), self.n_jobs), strict=True):
            members = cells_in(self.cells, box)
            first = self.cells.starts[members]
            yield ranges(first, self.cells.starts[members + 1] - first), result


def _core_flags(
    tiling: _Tiling, capped_weights: NDArray[np.int64], eps_m: float, min_samples: int
) -> NDArray[np.bool_]:
    """bool[n], in cell order."""
    from flows.adapters.tile_work import find_core

    core = np.zeros(len(capped_weights), dtype=np.bool_)
    work = partial(find_core, eps_m=eps_m, min_samples=min_samples)
    for points, flags in tiling.each(work, capped_weights):
        core[points] = flags
    return core


def _merge(tiling: _Tiling, core: NDArray[np.bool_], eps_m: float) -> Fit:
    """Join the tiles' cells, number the clusters, and only then label the border points."""
    from flows.adapters.tile_work import connect, join

    cells = tiling.cells
    tiles = [
        (joined.left, joined.right, cells.order[points[joined.point]], joined.cell)
        for points, joined in tiling.each(partial(join, eps_m=eps_m), core)
    ]
    left, right, border, border_cell = (np.concatenate(parts) for parts in zip(*tiles, strict=True))
    component = connect(len(cells.keys), left, right)
    core_in_order, component_in_order = np.empty_like(core), np.empty(len(core), dtype=np.int64)
    core_in_order[cells.order] = core
    component_in_order[cells.order] = np.repeat(component, np.diff(cells.starts))
    number = number_components(component_in_order, core_in_order)
    labels = np.where(core_in_order, number[component_in_order], -1)
    labels[border] = len(core)
    np.minimum.at(labels, border, number[component[border_cell]])
    return Fit(labels, core_in_order)
