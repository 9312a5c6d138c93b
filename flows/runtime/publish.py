"""A result where people look: artifacts on the page of its flow run, and a report in the store."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from flows.model.outcome import KEY, Outcome
from flows.model.sweeps import SweepRecord
from flows.report.artifacts import key, link_text, main_table, markdown, rows
from flows.report.tables import Table
from flows.runtime.result import ExperimentResult
from flows.runtime.sweep_result import AggregateResult, ComparisonResult, SweepResult

SweepLike = SweepResult | ComparisonResult | AggregateResult


def publish(result: ExperimentResult | SweepLike) -> None:
    """Create a summary, a table, a link and the outcome of the flow run; each run adds a version to the same four.

    The link leads to the report of a sweep, comparison or aggregate, which is kept beside its record, and to the record
    of a single experiment, whose report `taxi-flows report` writes.
    """
    flow = result.record.flow
    link = _as_url(result.location if isinstance(result, ExperimentResult) else _keep_report(result))
    create_markdown_artifact(markdown(result.record, link=link), key=key(flow, "summary"))
    create_table_artifact(rows(_table(result)), key=key(flow, "table"))
    create_link_artifact(link, link_text=link_text(result.record), key=key(flow, "link"))
    if not isinstance(result, AggregateResult):
        publish_outcome(flow, _outcome(result))


def publish_outcome(flow: str, outcome: Outcome) -> UUID:
    """Create the outcome of the flow run under way, and give its id."""
    # Without a running event loop, as in our flows, it gives the id itself.
    return cast(UUID, create_table_artifact([outcome.model_dump()], key=key(flow, KEY)))


def update_outcome(artifact_id: UUID, outcome: Outcome) -> None:
    """Replace what an outcome says."""
    with get_client(sync_client=True) as client:
        client.update_artifact(artifact_id, ArtifactUpdate(data=json.dumps([outcome.model_dump()])))


def _outcome(result: ExperimentResult | SweepResult | ComparisonResult) -> Outcome:
    if isinstance(result, ExperimentResult):
        return Outcome.of_experiment(result.record)
    record = result.record
    n_failed = sum(cell.status == "failed" for cell in record.cells)
    best = record.cells[record.best] if isinstance(record, SweepRecord) and record.best is not None else None
    return Outcome.of_cells(len(record.cells), len(record.cells), n_failed, best, record.key)


def _table(result: ExperimentResult | SweepLike) -> Table:
    if not isinstance(result, ExperimentResult):
        return main_table(result.record)
    from flows.report.summary import points_name
    from flows.report.tables import clusters

    record = result.record
    return clusters(result.clusters(), record.points.used, points_name(record.spec.coordinate_type))


def _keep_report(result: SweepLike) -> str:
    """Put the report into the store, and say where it is."""
    from flows.core.settings import load_settings
    from flows.report.gather import gather
    from flows.report.page import write_report
    from flows.store import open_store

    settings = load_settings()
    store, bucket = open_store(settings), settings.experiments_bucket
    target = result.record.key.removesuffix(".json") + ".report.html"
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        write_report(page, gather(result.record, store, settings))
        store.put_file(bucket, target, page)
    return store.location(bucket, target)


def _as_url(location: str) -> str:
    return location if "://" in location else Path(location).resolve().as_uri()
