"""The steps of sweeps as Prefect tasks; heavy libraries are imported when a task runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.core.errors import ParameterError, SweepFailedError
from flows.core.frozen import INT64_MAX
from flows.model.parameters import shown
from flows.model.ranking import best
from flows.model.spec import eps_to_metres
from flows.model.sweep_parameters import cell_specs
from flows.model.sweeps import AutoGrid, Cell, Facts, GridSpec, SweepRecord
from flows.records.storage import new_id
from flows.records.sweep_storage import Folder, SweepPlan, key_of, put
from flows.runtime.context import Run
from flows.runtime.recording import keep, timings
from flows.runtime.sweep_result import SweepResult
from flows.sweeps.progress import SweepProgress, cell_line

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.model.points import Points, TripSource
    from flows.steps.sweep import Outcome
    from flows.store import ObjectStore


@task(name="plan", cache_policy=NO_CACHE)
def plan_sweep(run: Run, points: Points, grid: GridSpec | AutoGrid, resumed: SweepPlan | None) -> SweepPlan:
    """Fix what is swept, and keep it before the first cell; a resumed sweep must find the same files."""
    from flows.steps.record import fingerprint_files
    from flows.steps.suggest import suggest

    sha256s = fingerprint_files(run.files)
    if resumed is not None:
        refuse_other_bytes(resumed, sha256s)
        return resumed
    suggestion = None
    if isinstance(grid, AutoGrid):
        suggestion = suggest(points, grid.min_samples_values, grid.seed, run.n_jobs)
        grid = grid.with_eps(suggestion.eps_values)
    plan = SweepPlan(id=new_id(datetime.now(UTC)), spec=grid, suggestion=suggestion, sha256s=sha256s, flow=run.flow)
    begin(run.store, run.settings, plan)
    return plan


def begin(store: ObjectStore, settings: Settings, plan: SweepPlan) -> None:
    """Keep what is swept, and say how to go on with it."""
    Folder(store, settings, plan.kind, plan.id).keep("plan", plan)
    if plan.kind == "sweeps":
        print(f"sweep {plan.id} begins; `taxi-flows sweep --resume {plan.id}` goes on where it stops")  # noqa: T201


def refuse_other_bytes(plan: SweepPlan, sha256s: tuple[str, ...]) -> None:
    """Refuse to go on with other trips.

    Raises:
        ParameterError: the files are not those that the sweep was begun on.
    """
    if plan.sha256s != sha256s:
        raise ParameterError(
            f"sweep {plan.id} was begun on other bytes of {', '.join(plan.spec.data_source)}: start a new sweep."
        )


@task(name="sweep", cache_policy=NO_CACHE)
def sweep_cells(
    run: Run, source: TripSource, points: Points, plan: SweepPlan, chunk: Sequence[int] | None = None
) -> tuple[Cell, ...]:
    """Do those cells of the chunk that are not done yet, all where none is named; each is an experiment of its own."""
    from flows.steps.evaluate import draw_sample
    from flows.steps.sweep import sweep

    folder = Folder(run.store, run.settings, plan.kind, plan.id)
    specs = list(cell_specs(plan.spec))
    places = range(len(specs)) if chunk is None else chunk
    progress = SweepProgress(run.flow, len(places), plan.spec.metric, _among(places, folder.done()))
    open_places = [place for place in places if place not in progress.cells]
    sample = draw_sample(points, run.settings.silhouette_sample, plan.spec.seed)
    outcomes = sweep(points, sample, [specs[place] for place in open_places], run.settings, run.n_jobs)
    for place, outcome in zip(open_places, outcomes, strict=True):
        cell = record_cell(run, source, points, plan, outcome)
        folder.keep_cell(place, cell)
        progress.add(place, cell)
    return tuple(progress.cells[place] for place in places)


def _among(places: Sequence[int], cells: dict[int, Cell]) -> dict[int, Cell]:
    wanted = set(places)
    return {place: cell for place, cell in cells.items() if place in wanted}


def record_cell(run: Run, source: TripSource, points: Points, plan: SweepPlan, outcome: Outcome) -> Cell:
    """Keep a cell that succeeded as an experiment of its own, under the id of its sweep or comparison."""
    spec, scores, clustering = outcome.spec, outcome.scores, outcome.clustering
    if scores is None or clustering is None:
        return failed_cell(spec.adapter_type, spec.eps, spec.min_samples, outcome.reason)
    kept, _ = keep(run, source, plan.sha256s, points, spec, clustering, scores, plan.id)
    return Cell(
        adapter=spec.adapter_type,
        eps=spec.eps,
        min_samples=spec.min_samples,
        status="ok",
        experiment_id=kept.id,
        labels_sha256=hashlib.sha256(clustering.labels.astype("<i4").tobytes()).hexdigest(),
        clustering=kept.clustering,
        quality=kept.quality,
        performance=kept.performance,
        overall_score=kept.overall_score,
        evaluate_seconds=scores.seconds,
    )


def failed_cell(adapter: str, eps: float, min_samples: int, reason: str | None) -> Cell:
    """A cell that there is nothing of but why."""
    return Cell(adapter=adapter, eps=eps, min_samples=min_samples, status="failed", reason=reason)


def facts_of(run: Run, source: TripSource, points: Points, plan: SweepPlan) -> Facts:
    """What all cells share."""
    from flows.steps.environment import environment
    from flows.steps.record import fingerprints, point_counts, recorded_settings

    return Facts(
        settings=recorded_settings(run.settings, run.zones),
        source=fingerprints(source, plan.sha256s, points),
        points=point_counts(points, [eps_to_metres(eps) for eps in plan.spec.eps_values]),
        timings=timings(run, source, points),
        environment=environment(run.settings, run.flow_run_id),
    )


@task(name="record sweep", cache_policy=NO_CACHE)
def record_sweep(
    store: ObjectStore, settings: Settings, plan: SweepPlan, facts: Facts, cells: tuple[Cell, ...]
) -> SweepResult:
    """Keep the sweep, also where cells failed."""
    place, reason = best(cells, plan.spec.metric)
    key = key_of("sweeps", plan.id)
    kept = SweepRecord(
        id=plan.id,
        flow=plan.flow,
        created=datetime.now(UTC),
        key=key,
        spec=plan.spec,
        settings=facts.settings,
        source=facts.source,
        points=facts.points,
        cells=cells,
        best=place,
        best_reason=reason,
        suggestion=plan.suggestion,
        timings=with_cells(facts, cells),
        environment=facts.environment,
    )
    put(store, settings, key, kept)
    return SweepResult(record=kept, location=store.location(settings.experiments_bucket, key))


def with_cells(facts: Facts, cells: Sequence[Cell]) -> dict[str, float]:
    """Seconds by step, with what clustering and judging took in all cells."""
    fit_seconds = sum(cell.performance.runtime_seconds for cell in cells if cell.performance)
    evaluate_seconds = sum(cell.evaluate_seconds or 0.0 for cell in cells)
    return {**facts.timings, "cluster": fit_seconds, "evaluate": evaluate_seconds}


def check_max_failed(max_failed: int) -> None:
    """Refuse what is no number of cells.

    Raises:
        ParameterError: it is no whole number, or below 0.
    """
    if isinstance(max_failed, bool) or not isinstance(max_failed, int) or not 0 <= max_failed <= INT64_MAX:
        raise ParameterError(f"max_failed is {shown(max_failed)}: give a whole number of cells from 0 to {INT64_MAX}.")


def refuse_failures(cells: tuple[Cell, ...], max_failed: int, location: str) -> None:
    """Refuse cells of which none succeeded, or more failed than may.

    Raises:
        SweepFailedError: the message names the first 20 that failed, and where all are recorded.
    """
    failed = [cell for cell in cells if cell.status == "failed"]
    if len(failed) <= max_failed and len(failed) < len(cells):
        return
    lines = "\n".join(f"  {cell_line(cell)}" for cell in failed[:20])
    more = f"\n  and {len(failed) - 20} more" if len(failed) > 20 else ""
    raise SweepFailedError(
        f"{len(failed)} of {len(cells)} cells failed, {max_failed} may (max_failed). All are recorded in {location}:\n"
        f"{lines}{more}"
    )
