"""Counts and gauges as families of metrics, made when Prometheus asks for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate, permutations
from typing import Literal

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from flows.telemetry import metrics
from flows.telemetry.exporter.counts import Series, State
from flows.telemetry.exporter.events import NONE, POD_REASONS, STATUSES
from flows.telemetry.exporter.platform import Platform
from flows.telemetry.metrics import family

EventSource = Literal["stream", "api"]
BadReason = Literal["malformed", "unconfirmed"]


class Own:
    """What the exporter says about itself."""

    def __init__(self) -> None:
        self.events: dict[EventSource, int] = {"stream": 0, "api": 0}
        self.bad_events: dict[BadReason, int] = {"malformed": 0, "unconfirmed": 0}
        self.last_read: datetime | None = None
        self.reconnects = 0
        self.connected = False
        self.api_errors = 0
        self.save_failures = 0
        self.lag = Histogram(
            metrics.EXPORTER_LAG.name, metrics.EXPORTER_LAG.help, registry=None, buckets=metrics.LAG_BUCKETS_SECONDS
        )


class ExporterCollector(Collector):
    """The exporter's metrics. `state` and `platform` are replaced as wholes, so any thread may ask at any time."""

    def __init__(self, own: Own) -> None:
        self.own = own
        self.state: State | None = None
        self.platform: Platform | None = None

    def collect(self) -> Iterator[Family]:
        """Give each metric of the table whose source is the exporter."""
        state, platform = self.state, self.platform
        if state is not None:
            yield from _counted(state)
        if platform is not None:
            yield from _gauges(platform, state, time.time())
        yield from self._own(state, platform)

    def describe(self) -> Iterator[Family]:
        """Nothing: what there is depends on the moment."""
        yield from ()

    def _own(self, state: State | None, platform: Platform | None) -> Iterator[Family]:
        own = self.own
        yield family(metrics.EXPORTER_EVENTS, {(source,): number for source, number in own.events.items()})
        yield family(metrics.EXPORTER_BAD_EVENTS, {(reason,): number for reason, number in own.bad_events.items()})
        yield family(metrics.EXPORTER_RECONNECTS, {(): own.reconnects})
        yield family(metrics.EXPORTER_CONNECTED, {(): own.connected})
        yield family(metrics.EXPORTER_API_ERRORS, {(): own.api_errors})
        yield family(metrics.EXPORTER_SAVE_FAILURES, {(): own.save_failures})
        yield family(metrics.EXPORTER_COLLAPSED, {(): 0 if state is None else state.collapsed})
        yield family(metrics.EXPORTER_LAST_POLL, {(): 0 if platform is None else platform.polled_at.timestamp()})
        yield family(metrics.EXPORTER_LAST_READ, {(): 0 if own.last_read is None else own.last_read.timestamp()})
        yield from own.lag.collect()


def registry(collector: ExporterCollector) -> CollectorRegistry:
    """What /metrics shows: the exporter's metrics, and its process's memory and CPU."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    made = CollectorRegistry()
    made.register(collector)
    ProcessCollector(registry=made)
    return made


def _counted(state: State) -> Iterator[Family]:
    yield family(
        metrics.FLOW_RUNS,
        {(*one.labels, status): one.runs[status] for one in state.series for status in STATUSES},
    )
    yield _durations(state.series)
    corrections: dict[tuple[str, ...], float] = dict.fromkeys(permutations(STATUSES, 2), 0)
    corrections.update({(before, after): number for before, after, number in state.corrections})
    yield family(metrics.FLOW_RUN_CORRECTIONS, corrections)
    yield family(metrics.POD_FAILURES, {(reason,): state.pod_failures[reason] for reason in POD_REASONS})
    yield family(metrics.DEPLOYMENT_LAST_SUCCESS, _last_successes(state.series))


def _durations(series: tuple[Series, ...]) -> Family:
    made = HistogramMetricFamily(
        metrics.FLOW_RUN_DURATION.name, metrics.FLOW_RUN_DURATION.help, labels=metrics.FLOW_RUN_DURATION.labels
    )
    bounds = [*map(floatToGoString, metrics.DURATION_BUCKETS_SECONDS), "+Inf"]
    for one in series:
        made.add_metric(one.labels, list(zip(bounds, accumulate(one.buckets), strict=True)), one.duration_ms / 1000)
    return made


def _last_successes(series: tuple[Series, ...]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for one in series:
        if one.last_success is not None and one.labels.deployment != NONE:
            name = (one.labels.flow_name, one.labels.deployment)
            found[name] = max(found.get(name, 0), one.last_success.timestamp())
    return found


def _gauges(platform: Platform, state: State | None, now: float) -> Iterator[Family]:
    flows = {one.labels.flow_name: 0 for one in state.series} if state is not None else {}
    active = {**flows, **platform.active}
    yield family(metrics.ACTIVE_FLOWS, {(flow,): number for flow, number in active.items()})
    yield family(metrics.ACTIVE_FLOW_MAX_AGE, {(flow,): _age(platform.running_since.get(flow), now) for flow in active})
    yield family(metrics.LATE_FLOW_RUNS, {(pool,): number for pool, number in platform.late.items()})
    yield family(metrics.QUEUED_FLOW_RUNS, {(pool,): number for pool, number in platform.queued.items()})
    created: dict[tuple[str, ...], float] = {
        (one.labels.flow_name, one.labels.deployment): one.created.timestamp() for one in platform.deployments
    }
    yield family(metrics.DEPLOYMENT_CREATED, created)
    yield family(
        metrics.WORK_POOL_LAST_POLL_AGE, {(pool.name,): _age(pool.last_polled, now) for pool in platform.pools}
    )


def _age(moment: datetime | None, now: float) -> float:
    return 0.0 if moment is None else max(0.0, now - moment.timestamp())
