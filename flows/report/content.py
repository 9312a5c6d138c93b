"""What a report is made of. Importing this is light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.model.records import ExperimentRecord
from flows.model.sweeps import AggregateRecord, ComparisonRecord, SweepRecord

if TYPE_CHECKING:
    import pandas as pd

    from flows.datasets.zones import ZoneTable


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The parts of a report; each may be absent, at least one is there.

    clusters: of the experiment, columns of flows.steps.clusters.SCHEMA (`ExperimentResult.clusters()`).
    zones: outlines under the map.
    history: experiments in any order; they are drawn over their time.
    title: by default it follows from the parts.
    """

    experiment: ExperimentRecord | None = None
    clusters: pd.DataFrame | None = None
    sweep: SweepRecord | None = None
    comparison: ComparisonRecord | None = None
    aggregate: AggregateRecord | None = None
    zones: ZoneTable | None = None
    history: tuple[ExperimentRecord, ...] = ()
    title: str | None = None
