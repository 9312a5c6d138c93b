"""The work of a run as Prefect tasks. Arrays of millions of points are no cache keys, so nothing is cached."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.runtime import work
from flows.runtime.publish import publish
from flows.runtime.result import ExperimentResult
from flows.runtime.sweep_result import AggregateResult, ComparisonResult, SweepResult
from flows.telemetry.push import push_last_run

ingest = task(name="ingest", cache_policy=NO_CACHE)(work.ingest)
prepare = task(name="prepare", cache_policy=NO_CACHE)(work.prepare)
cluster = task(name="cluster", cache_policy=NO_CACHE)(work.cluster)
evaluate = task(name="evaluate", cache_policy=NO_CACHE)(work.evaluate)
record = task(name="record", cache_policy=NO_CACHE)(work.record)


publish_artifacts = task(name="publish", cache_policy=NO_CACHE)(publish)


def show(result: ExperimentResult | SweepResult | ComparisonResult | AggregateResult) -> None:
    """Print a result into the flow run's log, and publish its facts as artifacts."""
    print(result)  # noqa: T201  (into the run's log)
    publish_artifacts(result)


def report(result: ExperimentResult | SweepResult | ComparisonResult | AggregateResult) -> None:
    """Show a result where people look: its table in the flow run's log, its facts as artifacts and as metrics."""
    show(result)
    push_last_run(result.record)
