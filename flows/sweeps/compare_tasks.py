"""The steps of a comparison of adapters as Prefect tasks; heavy libraries are imported when a task runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.core.errors import ParameterError
from flows.model.sweep_parameters import cell_specs
from flows.model.sweeps import Agreement, AutoGrid, Cell, ComparisonRecord, Facts, GridSpec
from flows.records.storage import new_id
from flows.records.sweep_storage import Folder, SweepPlan, key_of, put
from flows.runtime.context import Run
from flows.runtime.sweep_result import ComparisonResult
from flows.steps.agreement import SAME, Likeness, agreement, likeness, overall
from flows.sweeps.progress import SweepProgress
from flows.sweeps.sweep_tasks import record_cell, with_cells

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.model.points import Points, TripSource
    from flows.steps.agreement import Piece
    from flows.store import ObjectStore

_ROWS_AT_A_TIME = 1 << 20


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

    plan = SweepPlan(
        id=new_id(datetime.now(UTC)),
        kind="comparisons",
        flow=run.flow,
        spec=grid,
        suggestion=None,
        sha256s=fingerprint_files(run.files),
    )
    specs = list(cell_specs(grid))
    sample = draw_sample(points, run.settings.silhouette_sample, grid.seed)
    progress = SweepProgress(run.flow, len(specs), grid.metric, {})
    alike: list[Likeness | None] = []
    for place, (outcome, found) in enumerate(compare(points, sample, specs, run.settings, run.n_jobs)):
        progress.add(place, record_cell(run, source, points, plan, outcome))
        alike.append(found)
    cells = tuple(progress.cells[place] for place in range(len(specs)))
    return Compared(plan, cells, agreements(cells, alike, points.n_unique))


@task(name="compare", cache_policy=NO_CACHE)
def measure_cells(
    run: Run, source: TripSource, points: Points, plan: SweepPlan, chunk: Sequence[int]
) -> tuple[Cell, ...]:
    """Do those cells of a chunk that are not done yet, and keep their labels for whoever compares them."""
    from flows.steps.compare import measure
    from flows.steps.evaluate import draw_sample

    folder = Folder(run.store, run.settings, plan.kind, plan.id)
    specs, done = list(cell_specs(plan.spec)), folder.done()
    progress = SweepProgress(
        run.flow, len(chunk), plan.spec.metric, {place: done[place] for place in chunk if place in done}
    )
    open_places = [place for place in chunk if place not in progress.cells]
    sample = draw_sample(points, run.settings.silhouette_sample, plan.spec.seed)
    outcomes = measure(points, sample, [specs[place] for place in open_places], run.settings, run.n_jobs)
    for place, outcome in zip(open_places, outcomes, strict=True):
        if outcome.clustering is not None:
            folder.keep_labels(place, outcome.clustering.labels, points.weights)
        cell = record_cell(run, source, points, plan, outcome)
        folder.keep_cell(place, cell)
        progress.add(place, cell)
    return tuple(progress.cells[place] for place in chunk)


def compare_kept(
    store: ObjectStore, settings: Settings, plan: SweepPlan, cells: tuple[Cell, ...], n_unique: int
) -> Compared:
    """Compare cells that other flow runs did, by the digests of their labels; only differing labels are read."""
    n_settings = len(plan.spec.eps_values) * len(plan.spec.min_samples_values)
    folder = Folder(store, settings, plan.kind, plan.id)

    def alike(place: int) -> Likeness | None:
        first = place % n_settings
        digests = cells[first].labels_sha256, cells[place].labels_sha256
        if place < n_settings or None in digests:
            return None
        if digests[0] == digests[1]:
            return SAME
        return likeness(_pieces(store, settings.experiments_bucket, folder.labels_key(first), folder.labels_key(place)))

    found = [alike(place) for place in range(len(cells))]
    return Compared(plan, cells, agreements(cells, found, n_unique))


def _pieces(store: ObjectStore, bucket: str, first: str, other: str) -> Iterator[Piece]:
    """Two cells' labels and the trips at each point, some at a time."""
    import pyarrow.parquet as pq

    with store.local_path(bucket, first) as one, store.local_path(bucket, other) as two:
        batches = (pq.ParquetFile(path).iter_batches(_ROWS_AT_A_TIME) for path in (one, two))
        for left, right in zip(*batches, strict=True):
            yield left["label"].to_numpy(), right["label"].to_numpy(), left["trips"].to_numpy()


def agreements(cells: Sequence[Cell], alike: Sequence[Likeness | None], n_unique: int) -> tuple[Agreement, ...]:
    """Of every cell but the first adapter's."""
    n_settings = sum(cell.adapter == cells[0].adapter for cell in cells)
    return tuple(
        agreement(cells[place % n_settings], cells[place], alike[place], n_unique)
        for place in range(n_settings, len(cells))
    )


@task(name="record comparison", cache_policy=NO_CACHE)
def record_comparison(store: ObjectStore, settings: Settings, facts: Facts, compared: Compared) -> ComparisonResult:
    """Keep the comparison, also where cells failed."""
    plan, cells = compared.plan, compared.cells
    key = key_of("comparisons", plan.id)
    kept = ComparisonRecord(
        id=plan.id,
        flow=plan.flow,
        created=datetime.now(UTC),
        key=key,
        spec=plan.spec,
        settings=facts.settings,
        source=facts.source,
        points=facts.points,
        cells=cells,
        by_cell=compared.by_cell,
        overall=overall(cells, compared.by_cell, facts.points.unique),
        timings=with_cells(facts, cells),
        environment=facts.environment,
    )
    put(store, settings, key, kept)
    return ComparisonResult(record=kept, location=store.location(settings.experiments_bucket, key))
