"""The steps of sweeps and comparisons as Prefect tasks; heavy libraries are imported when a task runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.errors import ParameterError, SweepFailedError
from flows.grid import cell_specs
from flows.records import new_id
from flows.run import Run
from flows.steps.rank import best
from flows.sweep_model import AutoGrid, Cell, GridSpec, SweepRecord
from flows.sweep_result import SweepResult
from flows.sweep_store import SweepPlan, key_of, load_cells, put, save_cell, save_plan
from flows.work import keep, timings

if TYPE_CHECKING:
    from flows.model import Points, TripSource
    from flows.steps.sweep import Outcome


@task(name="plan", cache_policy=NO_CACHE)
def plan_sweep(run: Run, points: Points, grid: GridSpec | AutoGrid, resumed: SweepPlan | None) -> SweepPlan:
    """Fix what is swept, and keep it before the first cell; a resumed sweep must find the same files."""
    from flows.steps.record import fingerprint_files
    from flows.steps.suggest import suggest

    sha256s = fingerprint_files(run.files)
    if resumed is not None:
        if resumed.sha256s != sha256s:
            raise ParameterError(
                f"sweep {resumed.id} was begun on other bytes of {', '.join(resumed.spec.data_source)}: "
                "start a new sweep."
            )
        return resumed
    suggestion = None
    if isinstance(grid, AutoGrid):
        suggestion = suggest(points, grid.min_samples_values, grid.seed, run.n_jobs)
        grid = grid.with_eps(suggestion.eps_values)
    plan = SweepPlan(id=new_id(datetime.now(UTC)), spec=grid, suggestion=suggestion, sha256s=sha256s)
    save_plan(run.store, run.settings, plan)
    print(f"sweep {plan.id} begins; `taxi-flows sweep --resume {plan.id}` goes on where it stops")  # noqa: T201
    return plan


@task(name="sweep", cache_policy=NO_CACHE)
def sweep_cells(run: Run, source: TripSource, points: Points, plan: SweepPlan) -> tuple[Cell, ...]:
    """Do the cells that are not done yet, and record each as an experiment of its own."""
    from flows.steps.evaluate import draw_sample
    from flows.steps.sweep import sweep

    cells = load_cells(run.store, run.settings, plan.id)
    specs = list(cell_specs(plan.spec))
    open_places = [place for place in range(len(specs)) if place not in cells]
    sample = draw_sample(points, run.settings.silhouette_sample, plan.spec.seed)
    outcomes = sweep(points, sample, [specs[place] for place in open_places], run.settings, run.n_jobs)
    for place, outcome in zip(open_places, outcomes, strict=True):
        cells[place] = record_cell(run, source, points, plan, outcome)
        save_cell(run.store, run.settings, plan.id, place, cells[place])
        print(f"{len(cells)} of {len(specs)} cells: {cell_line(cells[place])}")  # noqa: T201
    return tuple(cells[place] for place in range(len(specs)))


def record_cell(run: Run, source: TripSource, points: Points, plan: SweepPlan, outcome: Outcome) -> Cell:
    """Keep a cell that succeeded as an experiment of its own, under the id of its sweep or comparison."""
    spec, scores, clustering = outcome.spec, outcome.scores, outcome.clustering
    if scores is None or clustering is None:
        return Cell(
            adapter=spec.adapter_type,
            eps=spec.eps,
            min_samples=spec.min_samples,
            status="failed",
            reason=outcome.reason,
        )
    kept, _ = keep(run, source, plan.sha256s, points, spec, clustering, scores, plan.id)
    return Cell(
        adapter=spec.adapter_type,
        eps=spec.eps,
        min_samples=spec.min_samples,
        status="ok",
        experiment_id=kept.id,
        clustering=kept.clustering,
        quality=kept.quality,
        performance=kept.performance,
        overall_score=kept.overall_score,
    )


def cell_line(cell: Cell) -> str:
    """What came out of a cell, in one line."""
    setting = f"{cell.adapter}, eps {cell.eps:g} km, min_samples {cell.min_samples}"
    if cell.clustering is None:
        return f"{setting}: failed: {cell.reason}"
    value = cell.overall_score.value
    return f"{setting}: {cell.clustering.n_clusters:,} clusters, score " + (
        "undefined" if value is None else f"{value:.4f}"
    )


@task(name="record sweep", cache_policy=NO_CACHE)
def record_sweep(
    run: Run, source: TripSource, points: Points, plan: SweepPlan, cells: tuple[Cell, ...], max_failed: int
) -> SweepResult:
    """Keep the sweep, also where it fails: no cell succeeded, or more failed than allowed."""
    from flows.steps.environment import environment
    from flows.steps.record import fingerprints, point_counts, recorded_settings

    place, reason = best(cells, plan.spec.metric)
    key = key_of("sweeps", plan.id)
    kept = SweepRecord(
        id=plan.id,
        flow=run.flow,
        created=datetime.now(UTC),
        key=key,
        spec=plan.spec,
        settings=recorded_settings(run.settings, run.zones),
        source=fingerprints(source, plan.sha256s, points),
        points=point_counts(points),
        cells=cells,
        best=place,
        best_reason=reason,
        suggestion=plan.suggestion,
        timings=timings(
            run, source, points,
            cluster=sum(cell.performance.runtime_seconds for cell in cells if cell.performance),
            evaluate=0.0,
        ),
        environment=environment(run.settings, run.flow_run_id),
    )  # fmt: skip
    put(run.store, run.settings, key, kept)
    location = run.store.location(run.settings.experiments_bucket, key)
    refuse_failures(cells, max_failed, location)
    return SweepResult(record=kept, location=location)


def check_max_failed(max_failed: int) -> None:
    """Refuse what is no number of cells.

    Raises:
        ParameterError: it is no whole number, or below 0.
    """
    if isinstance(max_failed, bool) or not isinstance(max_failed, int) or max_failed < 0:
        raise ParameterError(f"max_failed is {max_failed!r}: give a whole number of cells, 0 or more.")


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
