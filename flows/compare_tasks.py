"""The steps of a comparison of adapters as Prefect tasks; heavy libraries are imported when a task runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.errors import ParameterError
from flows.grid import cell_specs
from flows.records import new_id
from flows.run import Run
from flows.sweep_model import Agreement, AutoGrid, Cell, ComparisonRecord, GridSpec
from flows.sweep_result import ComparisonResult
from flows.sweep_store import SweepPlan, key_of, put
from flows.sweep_tasks import cell_line, record_cell, refuse_failures
from flows.work import timings

if TYPE_CHECKING:
    from flows.model import Points, TripSource


@dataclass(frozen=True)
class Compared:
    """The cells of a comparison, and each one's agreement with the first adapter's, of all but the first."""

    plan: SweepPlan
    cells: tuple[Cell, ...]
    by_cell: tuple[Agreement, ...]


def comparable(grid: GridSpec | AutoGrid) -> GridSpec:
    """The grid, where it can be compared.

    Raises:
        ParameterError: its eps values are not known yet, or there is one adapter alone.
    """
    if isinstance(grid, AutoGrid):
        raise ParameterError(
            "eps_values is 'auto': a comparison takes a list, such as [0.3, 0.5]. `taxi-flows suggest` gives one."
        )
    if len(grid.adapters) < 2:
        raise ParameterError(
            f"adapters is {list(grid.adapters)}: give two or more, such as ['sklearn', 'sklearn_parallel']."
        )
    return grid


@task(name="compare", cache_policy=NO_CACHE)
def compare_cells(run: Run, source: TripSource, points: Points, grid: GridSpec) -> Compared:
    """Do every cell, each adapter in a process of its own, and record each as an experiment of its own."""
    from flows.steps.compare import compare
    from flows.steps.evaluate import draw_sample
    from flows.steps.record import fingerprint_files

    plan = SweepPlan(id=new_id(datetime.now(UTC)), spec=grid, suggestion=None, sha256s=fingerprint_files(run.files))
    specs = list(cell_specs(grid))
    sample = draw_sample(points, run.settings.silhouette_sample, grid.seed)
    cells: list[Cell] = []
    by_cell: list[Agreement] = []
    for outcome, agreement in compare(points, sample, specs, run.settings, run.n_jobs):
        cells.append(record_cell(run, source, points, plan, outcome))
        by_cell += [agreement] if agreement is not None else []
        print(f"{len(cells)} of {len(specs)} cells: {cell_line(cells[-1])}")  # noqa: T201
    return Compared(plan, tuple(cells), tuple(by_cell))


@task(name="record comparison", cache_policy=NO_CACHE)
def record_comparison(
    run: Run, source: TripSource, points: Points, compared: Compared, max_failed: int
) -> ComparisonResult:
    """Keep the comparison, also where it fails: no cell succeeded, or more failed than allowed."""
    from flows.steps.compare import overall
    from flows.steps.environment import environment
    from flows.steps.record import fingerprints, point_counts, recorded_settings

    plan, cells = compared.plan, compared.cells
    key = key_of("comparisons", plan.id)
    kept = ComparisonRecord(
        id=plan.id,
        flow=run.flow,
        created=datetime.now(UTC),
        key=key,
        spec=plan.spec,
        settings=recorded_settings(run.settings, run.zones),
        source=fingerprints(source, plan.sha256s, points),
        points=point_counts(points),
        cells=cells,
        by_cell=compared.by_cell,
        overall=overall(cells, compared.by_cell, points.n_unique),
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
    return ComparisonResult(record=kept, location=location)
