"""Cluster: run the chosen adapter on the unique points, and measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.adapters.registry import get_adapter
from flows.model import Clustering, ExperimentSpec, Points
from flows.resources import check_memory
from flows.settings import Settings
from flows.steps.measure import measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def cluster(points: Points, spec: ExperimentSpec, settings: Settings, n_jobs: int) -> Clustering:
    """Cluster with the setting of the spec.

    Args:
        n_jobs: threads or workers of a parallel adapter; a sequential one has 1.

    Raises:
        MemoryLimitError: the adapter would pass the memory limit; nothing was started.
    """
    return cluster_places(points.xy_m, points.weights, spec, settings, n_jobs)


def cluster_places(
    xy_m: NDArray[np.float64], weights: NDArray[np.int64], spec: ExperimentSpec, settings: Settings, n_jobs: int
) -> Clustering:
    """`cluster` of the two arrays of Points that it needs, for a process that is handed no more."""
    adapter = get_adapter(spec.adapter_type)
    n_jobs = n_jobs if adapter.parallel else 1
    adapter.load()
    check_memory(adapter, xy_m, weights, spec.eps_m, spec.min_samples, n_jobs, settings)
    with measured() as cost:
        fit = adapter.fit(xy_m, weights, spec.eps_m, spec.min_samples, n_jobs)
    return Clustering(
        labels=fit.labels,
        core=fit.core,
        n_jobs=n_jobs,
        fit_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_memory_bytes=cost.peak_memory_bytes,
    )
