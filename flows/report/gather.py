"""From a record to all that its report shows: clusters, zone outlines, the best cell and earlier runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.datasets.sources import zone_table_or_fault
from flows.model.records import ExperimentRecord
from flows.model.sweeps import AggregateRecord, ComparisonRecord, SweepRecord
from flows.records.period import load_period
from flows.records.storage import read_record
from flows.report.content import ReportContent
from flows.report.tables import source_name
from flows.steps.clusters import from_parquet, to_frame

if TYPE_CHECKING:
    import pandas as pd

    from flows.core.settings import Settings
    from flows.store import ObjectStore

_LOG = logging.getLogger("flows")

HISTORY_DAYS = 30
MAX_HISTORY = 200


def gather(
    record: ExperimentRecord | SweepRecord | ComparisonRecord | AggregateRecord, store: ObjectStore, settings: Settings
) -> ReportContent:
    """The content of a record's report. Of a sweep it also holds the best cell's experiment, with its map.

    Raises:
        StoreError: the store does not answer.
    """
    if isinstance(record, ComparisonRecord):
        return ReportContent(comparison=record)
    if isinstance(record, AggregateRecord):
        return ReportContent(aggregate=record)
    zones, zone_fault = zone_table_or_fault(settings, store)
    if zone_fault is not None:
        _LOG.warning("the map has no outlines of zones: %s", zone_fault)
    if isinstance(record, SweepRecord):
        best = _best_experiment(record, store, settings)
        return ReportContent(
            sweep=record,
            experiment=best,
            clusters=_clusters(best, store, settings) if best is not None else None,
            zones=zones,
            title=f"Sweep over {source_name(record.spec.data_source)}",
        )
    history = tuple(_history(record, store, settings))
    return ReportContent(
        experiment=record,
        clusters=_clusters(record, store, settings),
        zones=zones,
        history=history if len(history) > 1 else (),
    )


def _clusters(record: ExperimentRecord, store: ObjectStore, settings: Settings) -> pd.DataFrame | None:
    """The table of clusters; None where it was deleted."""
    if store.stat(settings.experiments_bucket, record.clusters_key) is None:
        return None
    return to_frame(from_parquet(store.get_bytes(settings.experiments_bucket, record.clusters_key)))


def _best_experiment(sweep: SweepRecord, store: ObjectStore, settings: Settings) -> ExperimentRecord | None:
    """The record of the best cell; None where there is no best one."""
    experiment_id = None if sweep.best is None else sweep.cells[sweep.best].experiment_id
    return None if experiment_id is None else read_record(store, settings, experiment_id)


def _history(record: ExperimentRecord, store: ObjectStore, settings: Settings) -> Iterator[ExperimentRecord]:
    """The newest experiments on the same source in the 30 days up to this one; cells of sweeps are left out."""
    last_day = record.created.date()
    found = load_period(store, settings, last_day - timedelta(days=HISTORY_DAYS - 1), last_day).records
    same = [one for one in found if one.spec.data_source == record.spec.data_source and one.sweep_id is None]
    yield from same[-MAX_HISTORY:]
