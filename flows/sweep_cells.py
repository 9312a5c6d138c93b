"""One chunk of the cells of a sweep or comparison; their flows start it (`flows.sweeps.fanned_out`), not people."""

from __future__ import annotations

from typing import Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.core.errors import ParameterError
from flows.core.settings import load_settings
from flows.model.points import Points
from flows.model.sweep_parameters import cell_specs, data_spec
from flows.records.sweep_storage import AutoPlan, Folder, SweepPlan
from flows.runtime.context import Run, open_run
from flows.runtime.flow_decorator import flow
from flows.runtime.restarts import restartable
from flows.store import open_store
from flows.sweeps.compare_tasks import measure_cells
from flows.sweeps.sweep_tasks import facts_of, refuse_other_bytes, sweep_cells
from flows.tasks import ingest, prepare


@flow(name="sweep_cells_flow")
def sweep_cells_flow(kind: Literal["sweeps", "comparisons"], sweep_id: str, chunk: int | None = None) -> int:
    """Do the cells of a chunk that are not done yet, and keep each in the store as it finishes.

    Args:
        kind: What the cells belong to.
        chunk: Number of the chunk in the plan; if not set, suggest eps values for a plan that has none yet.

    Returns:
        How many cells of the chunk failed; they say why in the sweep's record.

    Raises:
        ParameterError: there is no such plan or chunk, or the trips have changed since it was made.
        SourceError: the data can't be used.
        StoreError: a cell could not be kept.
    """
    with restartable():
        if chunk is None:
            _find_eps(sweep_id)
            return 0
        plan = _plan(kind, sweep_id, chunk)
        places = plan.chunks[chunk]
        adapter = list(cell_specs(plan.spec))[places[0]].adapter_type
        with open_run(plan.flow, flow_run.id, data_spec(plan.spec), judges=True, adapters=(adapter,)) as run:
            source = ingest(run)
            refuse_other_bytes(plan, _sha256s(run))
            points = prepare(run, source)
            Folder(run.store, run.settings, kind, sweep_id).keep_facts(chunk, facts_of(run, source, points, plan))
            do = sweep_cells if kind == "sweeps" else measure_cells
            cells = do(run, source, points, plan, places)
            return sum(cell.status == "failed" for cell in cells)


def _plan(kind: Literal["sweeps", "comparisons"], sweep_id: str, chunk: int) -> SweepPlan:
    settings = load_settings()
    plan = Folder(open_store(settings), settings, kind, sweep_id).find("plan", SweepPlan)
    if plan is None or not 0 <= chunk < len(plan.chunks):
        raise ParameterError(
            f"{kind} {sweep_id} has no chunk {chunk}: sweep_cells_flow is started by the flows of sweeps and "
            "comparisons. Run one of them, such as parameter_sweep_flow."
        )
    return plan


def _find_eps(sweep_id: str) -> None:
    settings = load_settings()
    folder = Folder(open_store(settings), settings, "sweeps", sweep_id)
    plan = folder.find("auto", AutoPlan)
    if plan is None:
        raise ParameterError(f"sweep {sweep_id} asks for no eps values: give the number of a chunk.")
    with open_run(plan.flow, flow_run.id, data_spec(plan.grid), judges=True) as run:
        points = prepare(run, ingest(run))
        _suggest(run, points, plan, folder)


@task(name="suggest", cache_policy=NO_CACHE)
def _suggest(run: Run, points: Points, plan: AutoPlan, folder: Folder) -> None:
    from flows.steps.suggest import suggest

    folder.keep("suggestion", suggest(points, plan.grid.min_samples_values, plan.grid.seed, run.n_jobs))


def _sha256s(run: Run) -> tuple[str, ...]:
    from flows.steps.record import fingerprint_files

    return fingerprint_files(run.files)
