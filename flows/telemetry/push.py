"""The gauges of the last run, pushed to the Pushgateway by the run that a person or a schedule started.

A child run does not push: its parent speaks for all. What is not defined is left out, so that no number stands for it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.error import URLError

from flows.core.deadline import within
from flows.model.metric import Metric
from flows.model.points import DROP_REASONS
from flows.model.ranking import best
from flows.model.records import ClusterCounts, ExperimentRecord, Performance, PointCounts, Quality
from flows.model.sweeps import AggregateRecord, Cell, ComparisonRecord, SweepRecord
from flows.telemetry import metrics

if TYPE_CHECKING:
    from flows.telemetry.metrics import MetricDefinition, Values

PUSH_WITHIN_SECONDS = 10.0
"""For all groups of a run, repetitions included: its record is written already."""
_WAITS_SECONDS = (0.5, 1.0, 2.0)
"""Before a push is repeated, where the Pushgateway can't be reached; in all, not for each group."""
_LONGEST_FAULT = 300
"""Characters of what went wrong that are shown; some of them may be the other side's."""

Record = ExperimentRecord | SweepRecord | ComparisonRecord


@dataclass(frozen=True)
class Group:
    """What one push replaces: all gauges of one flow and adapter."""

    flow: str
    adapter: str
    values: Mapping[MetricDefinition, Values]


def push_last_run(record: Record | AggregateRecord) -> None:
    """Push the gauges, where PUSHGATEWAY_URL is set and no other run started this one; a push that fails only warns."""
    from flows.core.settings import load_settings

    url = load_settings().outside.pushgateway_url
    if url is None or _is_child():
        return
    give_up, waits = time.monotonic() + PUSH_WITHIN_SECONDS, iter(_WAITS_SECONDS)
    for group in groups(record):
        try:
            within(max(0.0, give_up - time.monotonic()), partial(_push, url, group, waits))
        except (OSError, ValueError) as error:
            fault = "".join(one if one.isprintable() else " " for one in str(error)[:_LONGEST_FAULT])
            _warn(f"The metrics of {group.adapter} were not pushed to {url} (PUSHGATEWAY_URL): {fault}")


def _push(url: str, group: Group, waits: Iterator[float]) -> None:
    """Push, again where the name can't be looked up or nobody listens: what restarts is back in a moment."""
    while True:
        try:
            metrics.push(url, group.flow, group.adapter, group.values)
            return
        except URLError as error:
            away = isinstance(error.reason, (socket.gaierror, ConnectionRefusedError))
            wait_seconds = next(waits, None) if away else None
            if wait_seconds is None:
                raise
            time.sleep(wait_seconds)


def groups(record: Record | AggregateRecord) -> tuple[Group, ...]:
    """What to push: one group, one per adapter of a comparison, none of an aggregate."""
    match record:
        case ExperimentRecord():
            return (_of_experiment(record),)
        case SweepRecord():
            return (_of_sweep(record),)
        case ComparisonRecord():
            done = {cell.adapter for cell in record.cells if cell.status == "ok"}
            return tuple(_of_adapter(record, adapter) for adapter in record.spec.adapters if adapter in done)
        case AggregateRecord():
            return ()


def _of_experiment(record: ExperimentRecord) -> Group:
    outcome = _outcome(record.clustering, record.quality, record.performance, record.overall_score)
    setting = _setting(record.spec.eps_m, record.spec.min_samples)
    return _group(record, record.spec.adapter_type, record.timings, {**outcome, **setting})


def _of_sweep(record: SweepRecord) -> Group:
    found = None if record.best is None else record.cells[record.best]
    return _group(record, record.spec.adapters[0], record.timings, _of_cell(found))


def _of_adapter(record: ComparisonRecord, adapter: str) -> Group:
    cells = tuple(cell for cell in record.cells if cell.adapter == adapter and cell.status == "ok")
    fit_seconds = sum(cell.performance.runtime_seconds for cell in cells if cell.performance is not None)
    place, _ = best(cells, record.spec.metric)
    speed_up = next((one.speed_up for one in record.overall if one.adapter == adapter), Metric(value=None))
    evaluate_seconds = sum(cell.evaluate_seconds or 0.0 for cell in cells)
    steps = {**record.timings, "cluster": fit_seconds, "evaluate": evaluate_seconds}
    return _group(record, adapter, steps, {**_of_cell(cells[place or 0]), **_defined({metrics.SPEED_UP: speed_up})})


def _group(
    record: Record, adapter: str, steps: Mapping[str, float], outcome: Mapping[MetricDefinition, Values]
) -> Group:
    values: dict[MetricDefinition, Values] = {
        metrics.LAST_SUCCESS: {(): record.created.timestamp()},
        metrics.STEP_DURATION: {(step,): seconds for step, seconds in steps.items()},
        **_points(record.points),
        **outcome,
    }
    return Group(record.flow, adapter, values)


def _points(points: PointCounts) -> dict[MetricDefinition, Values]:
    return {
        metrics.POINTS: {(): points.used},
        metrics.UNIQUE_POINTS: {(): points.unique},
        metrics.DROPPED_POINTS: {(reason,): points.dropped.get(reason, 0) for reason in DROP_REASONS},
    }


def _of_cell(cell: Cell | None) -> dict[MetricDefinition, Values]:
    if cell is None or cell.clustering is None or cell.performance is None:
        return {}
    outcome = _outcome(cell.clustering, cell.quality, cell.performance, cell.overall_score)
    return {**outcome, **_setting(cell.eps * 1000, cell.min_samples)}


def _setting(eps_m: float, min_samples: int) -> dict[MetricDefinition, Values]:
    return {metrics.EPS: {(): eps_m}, metrics.MIN_SAMPLES: {(): min_samples}}


def _outcome(
    counts: ClusterCounts, quality: Quality | None, performance: Performance, score: Metric
) -> dict[MetricDefinition, Values]:
    undefined = Metric(value=None)
    return {
        metrics.CLUSTERS: {(): counts.n_clusters},
        **_defined(
            {
                metrics.NOISE_RATIO: counts.noise_ratio,
                metrics.LARGEST_CLUSTER_RATIO: counts.largest_cluster_share,
                metrics.SILHOUETTE: quality.silhouette if quality is not None else undefined,
                metrics.OVERALL_SCORE: score,
                metrics.PEAK_MEMORY: performance.peak_memory_bytes,
            }
        ),
    }


def _defined(candidates: Mapping[MetricDefinition, Metric]) -> dict[MetricDefinition, Values]:
    return {name: {(): metric.value} for name, metric in candidates.items() if metric.value is not None}


def _is_child() -> bool:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    return run is not None and run.parent_task_run_id is not None


def _warn(message: str) -> None:
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_logger, get_run_logger

    try:
        get_run_logger().warning(message)
    except MissingContextError:
        get_logger(__name__).warning(message)
