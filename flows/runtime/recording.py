"""Keeping an experiment with what its run knows: environment, zone table and seconds by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.runtime.context import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.model.points import Clustering, Points, TripSource
    from flows.model.records import ExperimentRecord
    from flows.model.spec import ExperimentSpec
    from flows.steps.score import Scores


def keep(
    run: Run,
    source: TripSource,
    sha256s: Sequence[str],
    points: Points,
    spec: ExperimentSpec,
    clustering: Clustering,
    scores: Scores,
    sweep_id: str | None = None,
) -> tuple[ExperimentRecord, pa.Table]:
    """Store one experiment, which may be a cell of a sweep: its record and its table of clusters.

    Raises:
        StoreError: the store did not take them; no record is there then.
    """
    from flows.steps.environment import environment
    from flows.steps.record import Finished, record

    judging = {} if scores.quality is None else {"evaluate": scores.seconds}
    finished = Finished(
        flow=run.flow,
        spec=spec,
        settings=run.settings,
        source=source,
        sha256s=sha256s,
        points=points,
        clustering=clustering,
        counts=scores.counts,
        quality=scores.quality,
        performance=scores.performance,
        overall_score=scores.overall_score,
        timings={**timings(run, source, points), "cluster": clustering.fit_seconds, **judging},
        environment=environment(run.settings, run.flow_run_id),
        zones=run.zones,
        sweep_id=sweep_id,
    )
    return record(finished, run.store)


def timings(run: Run, source: TripSource, points: Points) -> dict[str, float]:
    """Seconds by step until the points are ready to be clustered."""
    return {
        "ingest": source.open_seconds + points.ingest_seconds,
        "load_kernels": run.kernels.wait(),
        "prepare": points.prepare_seconds,
    }
