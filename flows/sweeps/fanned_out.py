"""Sweeps and comparisons whose cells are done by flow runs of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from uuid import UUID

from prefect.context import FlowRunContext

from flows.core.errors import DispatchError, ParameterError, SweepFailedError
from flows.core.settings import Settings
from flows.datasets.sources import object_keys
from flows.model.deployments import deployment_of
from flows.model.spec import ExperimentSpec
from flows.model.sweep_parameters import cell_specs, data_spec
from flows.model.sweeps import AutoGrid, Cell, Facts, GridBase, GridSpec, KDistances
from flows.records.storage import id_of
from flows.records.sweep_storage import AutoPlan, Folder, SweepPlan
from flows.runtime.restarts import restartable
from flows.runtime.sweep_result import ComparisonResult, SweepResult
from flows.store import ObjectStore, open_store
from flows.sweeps.chunks import FanOut, cut
from flows.sweeps.compare_tasks import compare_kept, record_comparison
from flows.sweeps.dispatch import Chunk, Family
from flows.sweeps.progress import SweepProgress
from flows.sweeps.sweep_tasks import begin, failed_cell, record_sweep, refuse_other_bytes


@dataclass(frozen=True)
class Parent:
    """The flow run that starts others, and the id of its sweep: the same whenever that run is started again."""

    flow_run_id: UUID
    sweep_id: str
    settings: Settings
    store: ObjectStore

    @classmethod
    def of_this_run(cls, settings: Settings) -> Parent:
        """The flow run that this code runs in.

        Raises:
            DispatchError: it runs in none.
        """
        context = FlowRunContext.get()
        run = context.flow_run if context is not None else None
        if run is None or run.created is None:
            raise DispatchError("TAXI_FAN_OUT is set outside a flow run: unset it, or call the flow itself.")
        return cls(run.id, id_of(run.created.astimezone(UTC), run.id.hex[:8]), settings, open_store(settings))

    def family(self, kind: str, sweep_id: str, how: FanOut) -> Family:
        """The flow runs that it starts for a sweep: its own, or one that it resumes."""
        return Family(self.flow_run_id, kind, sweep_id, how, self.settings.cells.job_variables())


@restartable()
def sweep_fanned_out(
    settings: Settings, flow: str, grid: GridSpec | AutoGrid, resumed: SweepPlan | None, how: FanOut
) -> SweepResult:
    """Have the cells of a sweep done by other flow runs, and record it.

    Raises:
        SourceError: the data source is not there.
        SweepFailedError: no flow run came so far as to know its trips.
        DispatchError: a deployment is missing, or Prefect's API is away for long.
        RestartedTooOften: the flow run was started more often than it may be.
    """
    parent = Parent.of_this_run(settings)
    plan = _resumed(parent, resumed, how) if resumed is not None else _planned(parent, flow, grid, how)
    cells, facts = _done(parent, plan, how)
    return record_sweep(parent.store, settings, plan, facts, cells)


@restartable()
def comparison_fanned_out(settings: Settings, flow: str, grid: GridSpec, how: FanOut) -> ComparisonResult:
    """Have the cells of a comparison done by other flow runs, compare and record them; errors are a sweep's."""
    parent = Parent.of_this_run(settings)
    plan = Folder(parent.store, settings, "comparisons", parent.sweep_id).find("plan", SweepPlan)
    if plan is None:
        plan = SweepPlan(
            id=parent.sweep_id,
            kind="comparisons",
            flow=flow,
            spec=grid,
            suggestion=None,
            sha256s=_sha256s(parent, grid),
            chunks=cut(grid, how),
        )
        begin(parent.store, settings, plan)
    cells, facts = _done(parent, plan, how)
    compared = compare_kept(parent.store, settings, plan, cells, facts.points.unique)
    return record_comparison(parent.store, settings, facts, compared)


def _planned(parent: Parent, flow: str, grid: GridSpec | AutoGrid, how: FanOut) -> SweepPlan:
    """The plan that this flow run made when it was started before, or a new one."""
    folder = Folder(parent.store, parent.settings, "sweeps", parent.sweep_id)
    plan = folder.find("plan", SweepPlan)
    if plan is not None:
        print(f"sweep {plan.id} goes on where this flow run stopped")  # noqa: T201
        return plan
    sha256s, suggestion = _sha256s(parent, grid), None
    if isinstance(grid, AutoGrid):
        suggestion = _suggestion(parent, AutoPlan(id=parent.sweep_id, grid=grid, sha256s=sha256s, flow=flow), how)
        grid = grid.with_eps(suggestion.eps_values)
    plan = SweepPlan(
        id=parent.sweep_id, flow=flow, spec=grid, suggestion=suggestion, sha256s=sha256s, chunks=cut(grid, how)
    )
    begin(parent.store, parent.settings, plan)
    return plan


def _resumed(parent: Parent, plan: SweepPlan, how: FanOut) -> SweepPlan:
    """The plan of an earlier sweep; its own chunks hold where it has any, since their flow runs may still be there."""
    refuse_other_bytes(plan, _sha256s(parent, plan.spec))
    if plan.chunks:
        return plan
    plan = plan.model_copy(update={"chunks": cut(plan.spec, how)})
    begin(parent.store, parent.settings, plan)
    return plan


def _sha256s(parent: Parent, grid: GridBase) -> tuple[str, ...]:
    """Of the files, from what the store knows; nothing is read for it where `taxi-flows data put` wrote them.

    Raises:
        ParameterError: the files are local ones.
    """
    if not grid.use_minio:
        raise ParameterError(
            "use_minio is False, but other machines do the cells and have not this one's files: put them into the "
            "object store (`taxi-flows data put`), or run the sweep on one machine (without TAXI_FAN_OUT)."
        )
    bucket = parent.settings.data_bucket
    keys = object_keys(data_spec(grid), parent.settings, parent.store)
    return tuple(parent.store.sha256(bucket, key) for key in keys)


def _suggestion(parent: Parent, plan: AutoPlan, how: FanOut) -> KDistances:
    folder = Folder(parent.store, parent.settings, "sweeps", plan.id)
    folder.keep("auto", plan)
    chunk = Chunk(
        None,
        deployment_of("sweep_cells_flow", plan.grid.adapters[0]),
        lambda: folder.find("suggestion", KDistances) is not None,
    )
    failures = parent.family("sweeps", plan.id, how).follow([chunk], look=lambda: None)
    found = folder.find("suggestion", KDistances)
    if found is None:
        raise SweepFailedError(f"no eps values were found: {'; '.join(failures.values()) or 'nothing was written'}")
    return found


def _done(parent: Parent, plan: SweepPlan, how: FanOut) -> tuple[tuple[Cell, ...], Facts]:
    """All cells, those that failed too, and what they share."""
    folder = Folder(parent.store, parent.settings, plan.kind, plan.id)
    specs = list(cell_specs(plan.spec))
    progress = SweepProgress(plan.flow, len(specs), plan.spec.metric, folder.done())

    def look() -> None:
        for place, cell in folder.cells(but=frozenset(progress.cells)).items():
            progress.add(place, cell)

    def is_done(places: Sequence[int]) -> bool:
        look()
        return all(place in progress.cells and progress.cells[place].status == "ok" for place in places)

    chunks = [
        Chunk(number, deployment_of("sweep_cells_flow", specs[places[0]].adapter_type), partial(is_done, places))
        for number, places in enumerate(plan.chunks)
    ]
    failures = parent.family(plan.kind, plan.id, how).follow(chunks, look)
    cells = folder.cells()
    for number, places in enumerate(plan.chunks):
        reason = failures.get(str(number), "its flow run ended without it")
        cells |= {place: _lost(specs[place], reason) for place in places if place not in cells}
    facts = folder.facts()
    if not facts:
        reasons = "; ".join(f"{reason} ({n} x)" for reason, n in Counter(failures.values()).items())
        raise SweepFailedError(f"no cell was tried, nothing is recorded: {reasons}")
    return tuple(cells[place] for place in range(len(specs))), _together(facts, parent)


def _lost(spec: ExperimentSpec, reason: str) -> Cell:
    return failed_cell(spec.adapter_type, spec.eps, spec.min_samples, reason)


def _together(facts: Sequence[Facts], parent: Parent) -> Facts:
    """What the chunks share; of their times the longest, of their machines the first one's."""
    first = facts[0]
    timings = {step: max(one.timings[step] for one in facts) for step in first.timings}
    environment = first.environment.model_copy(update={"flow_run_id": str(parent.flow_run_id)})
    return first.model_copy(update={"timings": timings, "environment": environment})
