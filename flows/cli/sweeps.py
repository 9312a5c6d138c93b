"""`sweep` and `compare`: many settings, many adapters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click
from click.core import ParameterSource

from flows.cli.launch import check_prefect, import_libraries, launch, refuse_missing_source
from flows.cli.options import (
    DataCommand,
    DataOptions,
    data_options,
    is_names,
    is_numbers,
    list_option,
    parameter_option,
)
from flows.cli.report import check_report, finish, output_options
from flows.core.errors import ParameterError
from flows.model import parameter
from flows.model.parameter import HELP

if TYPE_CHECKING:
    from flows.model.sweeps import AutoGrid, GridSpec
    from flows.runtime.sweep_result import ComparisonResult, SweepResult

Result = TypeVar("Result")

_FAN_OUT = {"max_parallel", "cells_per_chunk", "chunk_attempts"}
_READING = {"skip_truncated", "skip_bad_rows", "allow_mostly_dropped"}
_FREE_ON_RESUME = {"resume", "max_failed", *_FAN_OUT, "as_json", "report", *_READING}


def _eps(value: str) -> float | str:
    """A radius, or `auto`."""
    return value if value == "auto" else float(value)


def min_samples_values(default: Sequence[int] = parameter.MIN_SAMPLES_VALUES) -> click.Parameter:
    """The option `--min-samples-values`."""
    return list_option("--min-samples-values", int, "N", default, is_numbers)


def _metric() -> click.Parameter:
    return parameter_option("--metric", str, default=parameter.METRIC)


def _run_options() -> list[click.Parameter]:
    """How a grid is run, and what becomes of the result."""
    number = click.IntRange(0, sys.maxsize)
    return [
        parameter_option("--max-failed", number, default=0),
        *_fan_out_options(),
        click.Option(["--yes"], is_flag=True, help=HELP["allow_large"]),
        *output_options(),
    ]


def _fan_out_options() -> list[click.Parameter]:
    """How cells are spread over flow runs, where TAXI_FAN_OUT says that they are."""
    number = click.IntRange(1, sys.maxsize)
    return [
        parameter_option("--max-parallel", number, default=parameter.MAX_PARALLEL),
        parameter_option("--cells-per-chunk", number),
        parameter_option("--chunk-attempts", number, default=parameter.CHUNK_ATTEMPTS),
    ]


def sweep_command(name: str, source: click.Parameter) -> click.Command:
    """The command that runs `parameter_sweep_flow`.

    Args:
        name: of the command.
        source: parameter `data_source`, none or more: an argument, or an option.
    """
    adapter = parameter_option("--adapter-type", str, default=parameter.ADAPTER_TYPE)
    resume = parameter_option("--resume", str, metavar="ID")
    eps_values = list_option("--eps-values", _eps, "KM", parameter.EPS_VALUES_KM, is_numbers)
    grid = [adapter, eps_values, min_samples_values(), _metric()]
    params = [source, *grid, *data_options(), resume, *_run_options()]
    return DataCommand(name, params=params, callback=_sweep, help="Try many settings on the same trips, find the best.")


@click.pass_context
def _sweep(
    ctx: click.Context,
    data_source: tuple[str, ...],
    adapter_type: str,
    eps_values: tuple[float | str, ...],
    min_samples_values: tuple[int, ...],
    metric: str,
    data: DataOptions,
    resume: str | None,
    max_failed: int,
    max_parallel: int,
    cells_per_chunk: int | None,
    chunk_attempts: int,
    yes: bool,
    as_json: bool,
    report: Path | None,
) -> None:
    grid: GridSpec | AutoGrid
    if resume is None:
        grid = checked_grid(data_source, (adapter_type,), eps_values, min_samples_values, metric, data, yes)
    else:
        _refuse_own_grid(ctx, resume)
        grid = _resumed_grid(resume)
    check_report(report)

    def load() -> Callable[[], SweepResult]:
        from flows.parameter_sweep import parameter_sweep_flow

        import_libraries(*grid.adapters)
        return lambda: parameter_sweep_flow(
            **{"eps_values": "auto", **grid.model_dump(mode="json", exclude={"adapters"})},
            adapter_type=grid.adapters[0],
            max_failed=max_failed,
            allow_large=True,
            max_parallel=max_parallel,
            cells_per_chunk=cells_per_chunk,
            chunk_attempts=chunk_attempts,
            resume=resume,
        )

    result = _run(grid, load)
    finish(result.record, result.location, as_json, report)


def compare_command(name: str, source: click.Parameter) -> click.Command:
    """The command that runs `compare_adapters_sweep_flow`.

    Args:
        name: of the command.
        source: parameter `data_source`, one or more: an argument, or an option.
    """
    adapters = list_option("--adapters", str, "NAME", parameter.COMPARED_ADAPTERS, is_names)
    radii = list_option("--eps-values", float, "KM", parameter.COMPARED_EPS_VALUES_KM, is_numbers)
    grid = [adapters, radii, min_samples_values(parameter.COMPARED_MIN_SAMPLES_VALUES), _metric()]
    params = [source, *grid, *data_options(), *_run_options()]
    return DataCommand(name, params=params, callback=_compare, help="Run the same grid through several adapters.")


def _compare(
    data_source: tuple[str, ...],
    adapters: tuple[str, ...],
    eps_values: tuple[float, ...],
    min_samples_values: tuple[int, ...],
    metric: str,
    data: DataOptions,
    max_failed: int,
    max_parallel: int,
    cells_per_chunk: int | None,
    chunk_attempts: int,
    yes: bool,
    as_json: bool,
    report: Path | None,
) -> None:
    grid = checked_grid(data_source, adapters, eps_values, min_samples_values, metric, data, yes)
    check_report(report)

    def load() -> Callable[[], ComparisonResult]:
        from flows.parameter_sweep import compare_adapters_sweep_flow

        import_libraries(*grid.adapters)
        return lambda: compare_adapters_sweep_flow(
            **grid.model_dump(mode="json", exclude={"adapters"}),
            adapters=list(grid.adapters),
            max_failed=max_failed,
            allow_large=True,
            max_parallel=max_parallel,
            cells_per_chunk=cells_per_chunk,
            chunk_attempts=chunk_attempts,
        )

    result = _run(grid, load)
    finish(result.record, result.location, as_json, report)


def checked_grid(
    data_source: tuple[str, ...],
    adapters: tuple[str, ...],
    eps_values: tuple[float | str, ...],
    min_samples_values: tuple[int, ...],
    metric: str,
    data: DataOptions,
    yes: bool,
) -> GridSpec | AutoGrid:
    """The grid that the options name.

    Raises:
        ParameterError: a value is out of range, or the grid is too large.
    """
    from flows.model.sweep_parameters import grid_of

    grid = {
        "data_source": data_source,
        "adapters": adapters,
        "eps_values": _numbers_or_auto(eps_values),
        "min_samples_values": min_samples_values,
        "metric": metric,
        "allow_large": yes,
    }
    return grid_of({**vars(data), **grid})


def _numbers_or_auto(eps_values: tuple[float | str, ...]) -> list[float] | Literal["auto"]:
    numbers = [value for value in eps_values if not isinstance(value, str)]
    if len(numbers) == len(eps_values):
        return numbers
    if len(eps_values) > 1:
        raise ParameterError(f"eps_values is {' '.join(map(str, eps_values))}: give numbers, or auto alone.")
    return "auto"


def _refuse_own_grid(ctx: click.Context, resume: str) -> None:
    """A resumed sweep has its grid and data already: other ones beside it would be ignored."""
    for option in ctx.command.params:
        name = option.name or ""
        if name not in _FREE_ON_RESUME and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--resume {resume} goes on with that sweep's own data and grid: leave out {name}.")


def _resumed_grid(sweep_id: str) -> GridSpec:
    from flows.core.settings import load_settings
    from flows.records.sweep_storage import load_plan
    from flows.store import open_store

    settings = load_settings()
    return load_plan(open_store(settings), settings, sweep_id).spec


def _run(grid: GridSpec | AutoGrid, load: Callable[[], Callable[[], Result]]) -> Result:
    from flows.core.settings import load_settings
    from flows.model.sweep_parameters import data_spec

    check_prefect(load_settings())
    refuse_missing_source(data_spec(grid))
    return launch(load)
