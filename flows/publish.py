"""A result as artifacts on the page of its flow run."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.report.artifacts import key, main_table, markdown, rows
from flows.report.tables import Table
from flows.result import ExperimentResult
from flows.sweep_result import AggregateResult, ComparisonResult, SweepResult


def publish(result: ExperimentResult | SweepResult | ComparisonResult | AggregateResult) -> None:
    """Create a summary and a table of the flow run; each run of a flow adds a version to the same two."""
    flow = result.record.flow
    create_markdown_artifact(markdown(result.record, link=result.location), key=key(flow, "summary"))
    create_table_artifact(rows(_table(result)), key=key(flow, "table"))


def _table(result: ExperimentResult | SweepResult | ComparisonResult | AggregateResult) -> Table:
    if not isinstance(result, ExperimentResult):
        return main_table(result.record)
    from flows.report.summary import points_name
    from flows.report.tables import clusters

    record = result.record
    return clusters(result.clusters(), record.points.used, points_name(record.spec.coordinate_type))
