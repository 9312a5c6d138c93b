"""Cluster: run the chosen adapter on the unique points, and measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.adapters.memory import check_memory
from flows.adapters.protocol import Fit
from flows.adapters.registry import get_adapter, is_parallel
from flows.core.settings import Settings
from flows.model.points import Clustering, Points
from flows.model.spec import ExperimentSpec
from flows.steps.measure import measured

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cluster(points: Points, spec: ExperimentSpec, settings: Settings, n_jobs: int) -> Clustering:
    """Cluster with the setting of the spec.

    Args:
        n_jobs: threads or workers of a parallel adapter; a sequential one has 1.

    Raises:
        MemoryLimitError: the adapter would pass the memory limit; nothing was started.
        RuntimeError: the adapter gave no whole clustering.
    """
    return cluster_places(points.xy_m, points.weights, spec, settings, n_jobs)


def cluster_places(
    xy_m: NDArray[np.float64], weights: NDArray[np.int64], spec: ExperimentSpec, settings: Settings, n_jobs: int
) -> Clustering:
    """`cluster` of the two arrays of Points that it needs, for a process that is handed no more."""
    adapter = get_adapter(spec.adapter_type)
    n_jobs = n_jobs if is_parallel(adapter.name) else 1
    adapter.load()
    check_memory(adapter, xy_m, weights, spec.eps_m, spec.min_samples, n_jobs, settings)
    with measured() as cost:
        fit = adapter.fit(xy_m, weights, spec.eps_m, spec.min_samples, n_jobs)
    check_fit(fit, len(xy_m))
    return Clustering(
        labels=fit.labels,
        core=fit.core,
        n_jobs=n_jobs,
        fit_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_memory_bytes=cost.peak_memory_bytes,
    )


def check_fit(fit: Fit, n: int) -> None:
    """Refuse a clustering that can't be whole: every point has a label, and every cluster a core point.

    Args:
        n: points that were clustered.

    Raises:
        RuntimeError: what is wrong.
    """
    labels, core = fit.labels, fit.core
    fault = None
    if labels.shape != (n,) or core.shape != (n,):
        fault = f"{len(labels):,} labels and {len(core):,} core flags for {n:,} points"
    elif n and not (labels.min() >= -1 and labels.max() < n):
        fault = f"labels from {labels.min()} to {labels.max()} for {n:,} points"
    elif (labels[core] < 0).any():
        fault = "a core point without a cluster"
    elif not np.bincount(labels[core], minlength=int(labels.max(initial=-1)) + 1).all():
        fault = "a cluster without a core point"
    if fault is not None:
        raise RuntimeError(f"the adapter gave {fault}: this clustering can't be used. Please report it.")
