"""The table of metrics, from flows/telemetry/metrics.py."""

from __future__ import annotations

from flows.telemetry.metrics import GROUPING_LABELS, METRICS, MetricDefinition


def table() -> str:
    """Every metric: its name, type, unit, labels and meaning."""
    rows = [f"| `{one.name}` | {one.type} | {one.unit} | {_labels(one)} | {one.help} |" for one in METRICS]
    return "\n".join(["| metric | type | unit | labels | meaning |", "| --- | --- | --- | --- | --- |", *rows])


def _labels(metric: MetricDefinition) -> str:
    names = (*GROUPING_LABELS, *metric.labels) if metric.source == "run" else metric.labels
    return ", ".join(f"`{name}`" for name in names)
