"""Sweep: cluster and judge the same points with many settings, cell by cell, and lose none to another's fault."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from flows.adapters.memory import check_memory
from flows.adapters.protocol import CellFit
from flows.adapters.registry import get_adapter, is_parallel
from flows.core.errors import TaxiFlowsError
from flows.core.settings import Settings
from flows.model.points import Clustering, Points
from flows.model.spec import ExperimentSpec
from flows.steps.evaluate import Sample, evaluate_many
from flows.steps.measure import Cost, measured
from flows.steps.score import Scores, score


@dataclass(frozen=True, eq=False)
class Outcome:
    """One cell: its clustering and scores, or the reason why there are none."""

    spec: ExperimentSpec
    clustering: Clustering | None
    scores: Scores | None
    reason: str | None = None


def sweep(
    points: Points, sample: Sample, specs: Sequence[ExperimentSpec], settings: Settings, n_jobs: int
) -> Iterator[Outcome]:
    """Cluster and judge with each setting, in the order given.

    Cells that follow each other with the same adapter and eps are done together (`fit_many`): neighbour counts and the
    distances of the sample are computed once. What they share in time is split evenly, memory is the highest of them.
    A fault of one group (out of memory, say) becomes the reason of its cells, and the next group goes on.
    """
    for _, group in groupby(specs, key=lambda spec: (spec.adapter_type, spec.eps_m)):
        cells = list(group)
        try:
            yield from _sweep_group(points, sample, cells, settings, n_jobs)
        except (TaxiFlowsError, MemoryError) as fault:
            reason = str(fault) or type(fault).__name__
            yield from (Outcome(spec, None, None, reason) for spec in cells)


def _sweep_group(
    points: Points, sample: Sample, specs: Sequence[ExperimentSpec], settings: Settings, n_jobs: int
) -> list[Outcome]:
    adapter = get_adapter(specs[0].adapter_type)
    n_jobs = n_jobs if is_parallel(adapter.name) else 1
    eps_m, counts = specs[0].eps_m, [spec.min_samples for spec in specs]
    adapter.load()
    check_memory(adapter, points.xy_m, points.weights, eps_m, max(counts), n_jobs, settings)
    with measured() as cost:
        fits = adapter.fit_many(points.xy_m, points.weights, [eps_m], counts, n_jobs)
    clusterings = [_clustering(fit, cost, n_jobs, len(fits)) for fit in fits]
    started = time.perf_counter()
    qualities = evaluate_many(points, sample, [clustering.labels for clustering in clusterings], n_jobs)
    seconds = (time.perf_counter() - started) / len(specs)
    return [
        Outcome(spec, clustering, score(points, clustering, quality, settings.score, seconds))
        for spec, clustering, quality in zip(specs, clusterings, qualities, strict=True)
    ]


def _clustering(fit: CellFit, cost: Cost, n_jobs: int, n_cells: int) -> Clustering:
    return Clustering(
        labels=fit.fit.labels,
        core=fit.fit.core,
        n_jobs=n_jobs,
        fit_seconds=fit.seconds,
        cpu_seconds=cost.cpu_seconds / n_cells,
        peak_memory_bytes=cost.peak_memory_bytes,
    )
