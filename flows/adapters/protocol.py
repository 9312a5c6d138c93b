"""What every adapter is: exact DBSCAN on weighted points, with canonical labels.

Canonical labels are equal to scikit-learn's `DBSCAN(algorithm="kd_tree")` element for element. Clusters are
numbered by the lowest input index of a core point, a border point belongs to its lowest-numbered reachable cluster,
noise is -1. A neighbour is dx^2 + dy^2 <= eps_m^2, the point itself included; weights count as that many points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Fit(NamedTuple):
    """One clustering of n points.

    labels: int64[n], cluster number of each point, -1 for noise.
    core: bool[n], whether the point is a core point.
    """

    labels: NDArray[np.int64]
    core: NDArray[np.bool_]


class Setting(NamedTuple):
    """One cell of a sweep."""

    eps_m: float
    min_samples: int


class CellFit(NamedTuple):
    """One cell's clustering and the seconds that it took (time shared by several cells is split evenly)."""

    setting: Setting
    fit: Fit
    seconds: float


class Adapter(Protocol):
    """An exact DBSCAN implementation. Instances hold no state."""

    name: str

    def load(self) -> None:
        """Import and load what `fit` needs (libraries, compiled kernels), so that `fit` measures clustering alone."""

    def estimate_bytes(self, points_m: NDArray[np.float64], eps_m: float, min_samples: int, n_jobs: int) -> int:
        """Estimate the peak memory that `fit` adds, in bytes."""

    def fit(
        self,
        points_m: NDArray[np.float64],
        weights: NDArray[np.int64],
        eps_m: float,
        min_samples: int,
        n_jobs: int,
    ) -> Fit:
        """Cluster n distinct points.

        Args:
            points_m: float64[n, 2], EPSG:32118 metres on the 2^-10 m grid.
            weights: int64[n], trips at each point, >= 1.
            eps_m: radius in metres, on the same grid.
            min_samples: trips within eps_m, the point's own included, that make it a core point.
            n_jobs: threads or workers.
        """

    def fit_many(
        self,
        points_m: NDArray[np.float64],
        weights: NDArray[np.int64],
        eps_values_m: Sequence[float],
        min_samples_values: Sequence[int],
        n_jobs: int,
    ) -> list[CellFit]:
        """Cluster with every combination of the values, eps outermost, in the order given."""
