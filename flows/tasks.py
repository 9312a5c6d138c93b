"""The steps as Prefect tasks, each given what it needs of the run; heavy libraries are imported when one is called.

Arrays of millions of points are no cache keys, so nothing is cached. `ingest.fn` and so on run without Prefect.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.runtime.context import Run
from flows.runtime.publish import publish
from flows.runtime.recording import keep
from flows.runtime.result import ExperimentResult
from flows.runtime.sweep_result import AggregateResult, ComparisonResult, SweepResult
from flows.telemetry.push import push_last_run

if TYPE_CHECKING:
    from flows.model.points import Clustering, Points, TripSource
    from flows.steps.score import Scores

_LOG = logging.getLogger("flows")


@task(name="ingest", cache_policy=NO_CACHE)
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


@task(name="prepare", cache_policy=NO_CACHE)
def prepare(run: Run, source: TripSource) -> Points:
    """Read the trips, drop what has no place, and collapse the rest to unique points."""
    run.kernels.wait()  # before the import: two threads that import one package at once can break each other's
    from flows.steps.prepare import prepare as step

    return step(source, run.spec, run.settings, run.zones, run.n_jobs)


@task(name="cluster", cache_policy=NO_CACHE)
def cluster(run: Run, points: Points) -> Clustering:
    """Run the adapter, measured."""
    from flows.steps.cluster import cluster as step

    return step(points, run.spec, run.settings, run.n_jobs)


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(run: Run, points: Points, clustering: Clustering) -> Scores:
    """Judge the clustering on the sample that the seed draws, whatever the setting."""
    from flows.steps.evaluate import draw_sample
    from flows.steps.evaluate import evaluate as step
    from flows.steps.score import score

    started = time.perf_counter()
    sample = draw_sample(points, run.settings.silhouette_sample, run.spec.seed)
    quality = step(points, sample, clustering.labels, run.n_jobs)
    return score(points, clustering, quality, run.settings.score, time.perf_counter() - started)


@task(name="record", cache_policy=NO_CACHE)
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


publish_artifacts = task(name="publish", cache_policy=NO_CACHE)(publish)


def show(result: ExperimentResult | SweepResult | ComparisonResult | AggregateResult) -> None:
    """Print a result into the flow run's log, and publish its facts as artifacts."""
    print(result)  # noqa: T201  (into the run's log)
    publish_artifacts(result)


def report(result: ExperimentResult | SweepResult | ComparisonResult | AggregateResult) -> None:
    """Show a result where people look: its table in the flow run's log, its facts as artifacts and as metrics."""
    show(result)
    push_last_run(result.record)
