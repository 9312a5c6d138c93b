"""The `grid` adapter: our own compiled kernels (flows.kernels.grid)."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from flows.adapters.checks import check_arguments, check_values
from flows.adapters.protocol import CellFit, Fit, Setting
from flows.core.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.kernels.grid import Counted
    from flows.kernels.grid_cells import Survey

_BYTES_PER_POINT = 55
_BYTES_PER_CELL = 20
_BYTES_AT_LEAST = 4 << 20
_MOST_WEIGHT = 2**63 - 1


class GridAdapter:
    """Exact DBSCAN on a sparse grid, weighted, on n_jobs threads; the same bytes for any number of them."""

    name = "grid"

    def load(self) -> None:
        """Import numba and load the compiled kernels, or compile them where they are not in the cache."""
        from flows.kernels import grid

        grid.warm_up()

    def estimate_bytes(self, points_m: NDArray[np.float64], eps_m: float, min_samples: int, n_jobs: int) -> int:
        """Estimate the peak memory: sorted copies of the points, and lists of occupied cells; no lists of neighbours.

        Threads share all of it, so their number does not matter.
        """
        n = len(points_m)
        if n == 0:
            return _BYTES_AT_LEAST
        side = max(eps_m / 2**0.5, 2.0**-1000)
        width, height = np.ptp(points_m[:, 0]), np.ptp(points_m[:, 1])
        cells = min(float(n), (width / side + 1) * (height / side + 1))
        return _BYTES_AT_LEAST + _BYTES_PER_POINT * n + int(_BYTES_PER_CELL * cells)

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
        return self.fit_many(points_m, weights, [eps_m], [min_samples], n_jobs)[0].fit

    def fit_many(
        self,
        points_m: NDArray[np.float64],
        weights: NDArray[np.int64],
        eps_values_m: Sequence[float],
        min_samples_values: Sequence[int],
        n_jobs: int,
    ) -> list[CellFit]:
        """Cluster with every combination; points are sorted and neighbours counted once per eps.

        Labels are those of `fit`. The time that cells share is split evenly over them.
        """
        from flows.kernels.threads import threads

        for eps_m in eps_values_m:
            for min_samples in min_samples_values:
                check_arguments(points_m, weights, eps_m, min_samples, n_jobs)
        if not eps_values_m or not min_samples_values:
            return []
        if not len(points_m):
            nothing = Fit(np.empty(0, np.int64), np.empty(0, np.bool_))
            return [CellFit(Setting(eps_m, k), nothing, 0.0) for eps_m in eps_values_m for k in min_samples_values]
        with threads(int(n_jobs)) as n_threads:
            return _fit_all(points_m, weights, eps_values_m, min_samples_values, n_threads)


def _fit_all(
    points_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    eps_values_m: Sequence[float],
    min_samples_values: Sequence[int],
    n_threads: int,
) -> list[CellFit]:
    from flows.kernels import grid
    from flows.kernels.grid_cells import survey

    start = perf_counter()
    # Kernels are compiled for arrays of this kind alone; a read-only or strided one is copied.
    points_m = np.require(points_m, requirements=["C", "W"])
    weights = np.require(weights, requirements=["C", "W"])
    seen = survey(points_m, weights, n_threads)
    if not seen.finite or seen.least_weight < 1 or seen.total_weight > _MOST_WEIGHT:
        check_values(points_m, weights)
    if seen.least_weight == 1 and seen.total_weight == len(points_m):
        weights = weights[:0]  # all are 1
    surveyed = perf_counter() - start
    # No weight can pass the largest int64, and neither may what it is compared with.
    wanted = [min(int(min_samples), _MOST_WEIGHT) for min_samples in min_samples_values]
    cells = []
    for eps_m in eps_values_m:
        start = perf_counter()
        counted = _count(points_m, weights, seen, float(eps_m), min(wanted), max(wanted), n_threads)
        shared = (perf_counter() - start) / len(wanted) + surveyed / (len(eps_values_m) * len(wanted))
        for place, (min_samples, k) in enumerate(zip(min_samples_values, wanted, strict=True), start=1):
            start = perf_counter()
            marked = grid.mark(counted, k, n_threads)
            if place == len(wanted):
                del counted  # the labels take its place
            fit = Fit(*grid.label(marked))
            del marked
            cells.append(CellFit(Setting(eps_m, min_samples), fit, perf_counter() - start + shared))
    return cells


def _count(
    points_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    seen: Survey,
    eps_m: float,
    least: int,
    most: int,
    n_threads: int,
) -> Counted:
    from flows.kernels import grid
    from flows.kernels.grid_cells import MOST_CELLS, lay_out

    layout = lay_out(seen, eps_m)
    if layout is None:
        raise ParameterError(
            f"points from {seen.low} to {seen.high} m at eps {eps_m:g} m would span {MOST_CELLS:,} cells or more; "
            "give a larger eps, or drop far-off points"
        )
    return grid.count(points_m, weights, layout, eps_m, least, most, n_threads)
