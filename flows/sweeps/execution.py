"""How a sweep or a comparison is run to its end: in this process, or by flow runs of its own (TAXI_FAN_OUT)."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows.core.settings import load_settings
from flows.model.sweep_parameters import data_spec
from flows.model.sweeps import AutoGrid, GridSpec
from flows.records.sweep_storage import SweepPlan
from flows.runtime.context import open_run
from flows.runtime.sweep_result import ComparisonResult, SweepResult
from flows.sweeps.chunks import FanOut
from flows.sweeps.compare_tasks import compare_cells, record_comparison
from flows.sweeps.fanned_out import comparison_fanned_out, sweep_fanned_out
from flows.sweeps.sweep_tasks import facts_of, plan_sweep, record_sweep, refuse_failures, sweep_cells
from flows.tasks import ingest, prepare, show
from flows.telemetry.push import push_last_run


def run_sweep(
    flow: str, grid: GridSpec | AutoGrid, max_failed: int, how: FanOut, resumed: SweepPlan | None = None
) -> SweepResult:
    """Do and record all cells, and show them, also where some failed.

    Raises:
        SourceError: the data can't be used.
        SweepFailedError: no cell succeeded, or more than max_failed failed; the record and its report are kept.
    """
    settings = load_settings()
    asked = grid if resumed is None else resumed.spec
    if settings.fan_out:
        result = sweep_fanned_out(settings, flow, asked, resumed, how)
    else:
        result = _sweep_here(flow, asked, resumed)
    _conclude(result, max_failed)
    return result


def run_comparison(flow: str, grid: GridSpec, max_failed: int, how: FanOut) -> ComparisonResult:
    """Do, compare and record all cells, and show them; errors are those of `run_sweep`."""
    settings = load_settings()
    result = comparison_fanned_out(settings, flow, grid, how) if settings.fan_out else _compare_here(flow, grid)
    _conclude(result, max_failed)
    return result


def _sweep_here(flow: str, asked: GridSpec | AutoGrid, resumed: SweepPlan | None) -> SweepResult:
    with open_run(flow, flow_run.id, data_spec(asked), judges=True, adapters=asked.adapters) as run:
        source = ingest(run)
        points = prepare(run, source)
        plan = plan_sweep(run, points, asked, resumed)
        cells = sweep_cells(run, source, points, plan)
        return record_sweep(run.store, run.settings, plan, facts_of(run, source, points, plan), cells)


def _compare_here(flow: str, grid: GridSpec) -> ComparisonResult:
    with open_run(flow, flow_run.id, data_spec(grid), judges=True) as run:
        source = ingest(run)
        points = prepare(run, source)
        compared = compare_cells(run, source, points, grid)
        return record_comparison(run.store, run.settings, facts_of(run, source, points, compared.plan), compared)


def _conclude(result: SweepResult | ComparisonResult, max_failed: int) -> None:
    show(result)
    refuse_failures(result.record.cells, max_failed, result.location)
    push_last_run(result.record)
