"""What the operator tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from flows.operator.kinds import Kind
from flows.telemetry import metrics
from flows.telemetry.metrics import Families, MetricDefinition, family


class Telemetry:
    """Its metrics, in a registry of their own, each series there from the start."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asks when a series began
        self.registry = CollectorRegistry()
        self._passes, self._healed = self._counter(metrics.RECONCILE), self._counter(metrics.DRIFT_HEALED)
        self._duration = self._gauge(metrics.RECONCILE_DURATION)
        self._last_success = self._gauge(metrics.RECONCILE_LAST_SUCCESS)
        for result in ("success", "failed"):
            self._passes.labels(result)
        for kind in Kind:
            self._healed.labels(kind.value)

    def passed(self, duration_seconds: float, *, success: bool) -> None:
        """A pass has ended."""
        self._passes.labels("success" if success else "failed").inc()
        self._duration.set(duration_seconds)
        if success:
            self._last_success.set(time.time())

    def healed(self, kind: Kind) -> None:
        """An object was brought back to what is declared."""
        self._healed.labels(kind.value).inc()

    def asks(self, definition: MetricDefinition, values: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Ask for a metric's values, by its labels, when Prometheus does."""
        self.registry.register(Families(lambda: [family(definition, values())]))

    def _counter(self, definition: MetricDefinition) -> Counter:
        return Counter(definition.name, definition.help, definition.labels, registry=self.registry)

    def _gauge(self, definition: MetricDefinition) -> Gauge:
        return Gauge(definition.name, definition.help, definition.labels, registry=self.registry)
