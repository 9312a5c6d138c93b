"""The steps with what a run gives them, as plain functions; heavy libraries are imported when one is called."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flows.runtime.context import Run
from flows.runtime.result import ExperimentResult

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.model.points import Clustering, Points, TripSource
    from flows.model.records import ExperimentRecord
    from flows.model.spec import ExperimentSpec
    from flows.steps.score import Scores

_LOG = logging.getLogger("flows")


def ingest(run: Run) -> TripSource:
    """Check every file of the source, and open it as one stream of trips."""
    from flows.datasets.sources import require_zone_table
    from flows.steps.ingest import open_source

    started = time.perf_counter()
    source = open_source(run.files, run.spec, run.settings, run.progress)
    if source.kind == "zones":
        require_zone_table(run.zones, run.settings, run.zone_fault)
    elif run.zone_fault is not None:
        _LOG.warning("hot spots get no names of zones: %s", run.zone_fault)
    return replace(source, open_seconds=time.perf_counter() - started)


def prepare(run: Run, source: TripSource) -> Points:
    """Read the trips, drop what has no place, and collapse the rest to unique points."""
    run.kernels.wait()  # before the import: two threads that import one package at once can break each other's
    from flows.steps.prepare import prepare as step

    return step(source, run.spec, run.settings, run.zones, run.n_jobs)


def cluster(run: Run, points: Points) -> Clustering:
    """Run the adapter, measured."""
    from flows.steps.cluster import cluster as step

    return step(points, run.spec, run.settings, run.n_jobs)


def evaluate(run: Run, points: Points, clustering: Clustering) -> Scores:
    """Judge the clustering on the sample that the seed draws, whatever the setting."""
    from flows.steps.evaluate import draw_sample
    from flows.steps.evaluate import evaluate as step
    from flows.steps.score import score

    started = time.perf_counter()
    sample = draw_sample(points, run.settings.silhouette_sample, run.spec.seed)
    quality = step(points, sample, clustering.labels, run.n_jobs)
    return score(points, clustering, quality, run.settings.score, time.perf_counter() - started)


def record(
    run: Run, source: TripSource, points: Points, clustering: Clustering, scores: Scores | None = None
) -> ExperimentResult:
    """Keep what is needed to repeat the run, and its clusters; without scores only counts and cost."""
    from flows.steps.record import fingerprint_files
    from flows.steps.score import score

    judged = scores or score(points, clustering, None, run.settings.score, seconds=0.0)
    kept, clusters = keep(run, source, fingerprint_files(run.files), points, run.spec, clustering, judged)
    location = run.store.location(run.settings.experiments_bucket, kept.key)
    return ExperimentResult.of(kept, location, points, clustering.labels, clusters)


def keep(
    run: Run,
    source: TripSource,
    sha256s: Sequence[str],
    points: Points,
    spec: ExperimentSpec,
    clustering: Clustering,
    scores: Scores,
    sweep_id: str | None = None,
) -> tuple[ExperimentRecord, pa.Table]:
    """Store one experiment, which may be a cell of a sweep: its record and its table of clusters.

    Raises:
        StoreError: the store did not take them; no record is there then.
    """
    from flows.steps.environment import environment
    from flows.steps.record import Finished
    from flows.steps.record import record as step

    judging = {} if scores.quality is None else {"evaluate": scores.seconds}
    finished = Finished(
        flow=run.flow,
        spec=spec,
        settings=run.settings,
        source=source,
        sha256s=sha256s,
        points=points,
        clustering=clustering,
        counts=scores.counts,
        quality=scores.quality,
        performance=scores.performance,
        overall_score=scores.overall_score,
        timings={**timings(run, source, points), "cluster": clustering.fit_seconds, **judging},
        environment=environment(run.settings, run.flow_run_id),
        zones=run.zones,
        sweep_id=sweep_id,
    )
    return step(finished, run.store)


def timings(run: Run, source: TripSource, points: Points) -> dict[str, float]:
    """Seconds by step until the points are ready to be clustered."""
    return {
        "ingest": source.open_seconds + points.ingest_seconds,
        "load_kernels": run.kernels.wait(),
        "prepare": points.prepare_seconds,
    }
