"""The `sklearn` adapter: scikit-learn's DBSCAN, the yardstick of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flows.adapters.checks import check_input
from flows.adapters.loop import fit_each
from flows.adapters.neighbours import estimate_neighbours
from flows.adapters.protocol import CellFit, Fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LISTS_AND_STACK = 1.8
_BYTES_PER_POINT = 150


class SklearnAdapter:
    """scikit-learn's DBSCAN on its KD tree, in one thread whatever n_jobs says.

    The tree compares squared distances with eps squared in float64, which are exact for points and eps on the 2^-10 m
    grid, so a tie at eps is a neighbour. Labels are canonical (flows.adapters.canonical says why). Weights go in as
    `sample_weight`: a point is core where they add up to min_samples, just as if each trip were a row.
    """

    name = "sklearn"

    def load(self) -> None:
        """Import scikit-learn's DBSCAN."""
        import sklearn.cluster  # noqa: F401

    def estimate_bytes(self, points_m: NDArray[np.float64], eps_m: float, min_samples: int, n_jobs: int) -> int:
        """Estimate the peak memory: scikit-learn holds every point's list of neighbours at once.

        8 bytes per neighbour and 150 per point for its array object, tree node and label. The search then stacks
        unlabelled neighbours, some of them many times: up to as much again, 0.8 of it on clustered city points.
        """
        lists = 8 * len(points_m) * estimate_neighbours(points_m, eps_m)
        return int(_LISTS_AND_STACK * lists) + _BYTES_PER_POINT * len(points_m)

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
        from sklearn.cluster import DBSCAN

        check_input(points_m, weights, eps_m, min_samples, n_jobs)
        core = np.zeros(len(points_m), dtype=np.bool_)
        if not len(points_m):
            return Fit(np.empty(0, dtype=np.int64), core)
        model = DBSCAN(eps=float(eps_m), min_samples=int(min_samples), algorithm="kd_tree", n_jobs=1)
        model.fit(points_m, sample_weight=weights)
        core[model.core_sample_indices_] = True
        return Fit(model.labels_.astype(np.int64, copy=False), core)

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
