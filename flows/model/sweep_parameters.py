"""From the lists a person typed to a checked grid of settings, before any data is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

from flows.core.errors import ParameterError
from flows.model import parameter
from flows.model.parameters import spec_of
from flows.model.ranking import check_metric
from flows.model.spec import ExperimentSpec
from flows.model.sweeps import AUTO_FACTORS, AutoGrid, GridBase, GridSpec

MAX_CELLS = 10_000
"""A grid of more cells is run only where it is asked for twice."""

_OF_ONE_CELL = {"adapter_type", "eps", "min_samples"}
_OF_THE_GRID = {"adapters", "eps_values", "min_samples_values", "metric"}


def grid_spec(
    data_source: str | Sequence[str],
    adapters: str | Sequence[str],
    eps_values: Sequence[float] | Literal["auto"],
    min_samples_values: Sequence[int],
    metric: str = parameter.METRIC,
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: int | None = None,
    use_minio: bool = True,
    seed: int = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    allow_large: bool = False,
) -> GridSpec | AutoGrid:
    """Check the parameters of a sweep or comparison; every cell is a valid experiment.

    Args:
        eps_values: kilometres, distinct on the 2^-10 m grid; "auto" leaves them to `flows.steps.suggest`.
        allow_large: run a grid of more than 10,000 cells.

    Returns:
        The grid; with "auto" an AutoGrid, which `with_eps` completes once the points are known.

    Raises:
        ParameterError: a value is out of range, repeated or missing, or the grid is too large.
    """
    return grid_of(locals())


def grid_of(parameters: Mapping[str, object]) -> GridSpec | AutoGrid:
    """Check the parameters of a sweep or comparison, by name, as a flow or a command got them.

    Raises:
        ParameterError: as `grid_spec`.
    """
    metric = parameters.get("metric", parameter.METRIC)
    check_metric(metric)
    adapters = parameters["adapters"] if "adapters" in parameters else parameters["adapter_type"]
    names = (adapters,) if isinstance(adapters, str) else _entries("adapters", adapters, "such as ['sklearn']")
    min_samples = _entries("min_samples_values", parameters["min_samples_values"], "such as [5, 10]")
    eps_values = parameters["eps_values"]
    is_auto = isinstance(eps_values, str) and eps_values == "auto"  # an array would be compared entry by entry
    eps = None if is_auto else _entries("eps_values", eps_values, "such as [0.3, 0.5], or 'auto'")
    _check_size(
        len(names), len(AUTO_FACTORS if eps is None else eps), len(min_samples), bool(parameters.get("allow_large"))
    )
    of_data = {name: value for name, value in parameters.items() if name not in _OF_ONE_CELL}

    def check(name: str, value: object) -> ExperimentSpec:
        return spec_of({**of_data, name: value})

    shared = spec_of(of_data)
    by_adapter = _checked("adapters", names, partial(check, "adapter_type"))
    by_min_samples = _checked("min_samples_values", min_samples, partial(check, "min_samples"))
    _refuse_repeats("adapters", names, [spec.adapter_type for spec in by_adapter])
    _refuse_repeats("min_samples_values", min_samples, [spec.min_samples for spec in by_min_samples])
    grid = AutoGrid.model_validate(
        {
            **shared.model_dump(exclude=_OF_ONE_CELL),
            "adapters": [spec.adapter_type for spec in by_adapter],
            "min_samples_values": [spec.min_samples for spec in by_min_samples],
            "metric": metric,
        }
    )
    if eps is None:
        return grid
    by_eps = _checked("eps_values", eps, partial(check, "eps"))
    _refuse_repeats("eps_values", eps, [spec.eps_m for spec in by_eps])
    return grid.with_eps(tuple(spec.eps for spec in by_eps))


def data_spec(grid: GridBase) -> ExperimentSpec:
    """What reading and preparing the grid's points needs. Its setting and adapter are defaults and mean nothing."""
    return ExperimentSpec.model_validate(grid.model_dump(exclude=_OF_THE_GRID))


def cell_specs(grid: GridSpec) -> Iterator[ExperimentSpec]:
    """Every cell as an experiment, in the order adapter, eps, min_samples."""
    shared = data_spec(grid)
    for adapter in grid.adapters:
        for eps in grid.eps_values:
            for min_samples in grid.min_samples_values:
                setting = {"adapter_type": adapter, "eps": eps, "min_samples": min_samples}
                yield shared.model_copy(update=setting)


def _entries(name: str, values: object, example: str) -> tuple[object, ...]:
    """The entries of what should be a list of some."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ParameterError(f"{name} is {values!r}: give a list, {example}.")
    if len(entries := tuple(values)) == 0:
        raise ParameterError(f"{name} is empty: give at least one value, {example}.")
    return entries


def _check_size(n_adapters: int, n_eps: int, n_min_samples: int, allow_large: bool) -> None:
    n_cells = n_adapters * n_eps * n_min_samples
    if n_cells > MAX_CELLS and not allow_large:
        raise ParameterError(
            f"the grid has {n_cells:,} cells ({n_adapters} adapters x {n_eps} eps x {n_min_samples} min_samples), more "
            f"than {MAX_CELLS:,}: give fewer values, or confirm with allow_large=True (`--yes` on the command line)."
        )


def _checked(name: str, values: Sequence[object], check: Callable[[object], ExperimentSpec]) -> list[ExperimentSpec]:
    """The spec of each entry; an error says which list holds the bad one."""
    try:
        return [check(value) for value in values]
    except ParameterError as error:
        raise ParameterError(f"in {name}: {error}") from error


def _refuse_repeats(name: str, values: Sequence[object], meanings: Sequence[object]) -> None:
    """Two entries of the same meaning would be one cell run twice."""
    seen: dict[object, object] = {}
    for value, meaning in zip(values, meanings, strict=True):
        if meaning in seen:
            rounded = "" if seen[meaning] == value else ", the same on the grid of 2^-10 m"
            raise ParameterError(
                f"{name} holds both {seen[meaning]!r} and {value!r}{rounded}: each value may stand there once."
            )
        seen[meaning] = value
