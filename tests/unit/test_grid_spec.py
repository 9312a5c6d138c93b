"""A grid is refused before any data is touched, or each of its cells is a valid experiment."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from flows.core.errors import ParameterError
from flows.model.parameters import experiment_spec
from flows.model.sweep_parameters import MAX_CELLS, cell_specs, data_spec, grid_spec
from flows.model.sweeps import AutoGrid, GridSpec


def grid(**changes: Any) -> GridSpec | AutoGrid:
    given = {"data_source": "month.parquet", "adapters": "sklearn", "eps_values": [0.3], "min_samples_values": [5]}
    return grid_spec(**{**given, **changes})


def refuse(match: str, **changes: Any) -> None:
    with pytest.raises(ParameterError, match=match):
        grid(**changes)


def test_cells_are_the_experiments_of_the_grid_in_order() -> None:
    shared = {"coordinate_type": "both", "max_samples": 100, "seed": 7, "hours": "7-10", "weekdays": "mon-fri"}
    adapters, eps_values, min_samples_values = ["sklearn", "sklearn_parallel"], [1, 0.5], [15, 5]
    found = grid(adapters=adapters, eps_values=eps_values, min_samples_values=min_samples_values, **shared)
    assert isinstance(found, GridSpec)
    assert found.eps_values == (1.0, 0.5)
    assert list(cell_specs(found)) == [
        experiment_spec("month.parquet", adapter, eps, min_samples, **shared)  # type: ignore[arg-type]
        for adapter in adapters
        for eps in eps_values
        for min_samples in min_samples_values
    ]
    assert data_spec(found) == experiment_spec("month.parquet", **shared)  # type: ignore[arg-type]


def test_auto_leaves_eps_to_the_points() -> None:
    found = grid(data_source=["a.parquet", "b.parquet"], eps_values="auto", metric="noise_ratio", seed=2)
    assert isinstance(found, AutoGrid)
    assert data_spec(found) == experiment_spec(["a.parquet", "b.parquet"], seed=2)
    assert found.with_eps((0.1, 0.2)) == grid(
        data_source=["a.parquet", "b.parquet"], eps_values=[0.1, 0.2], metric="noise_ratio", seed=2
    )


@pytest.mark.parametrize("name", ["adapters", "eps_values", "min_samples_values"])
def test_empty_lists(name: str) -> None:
    refuse(f"{name} is empty", **{name: []})


@pytest.mark.parametrize("value", [0.5, "0.5", "AUTO", None])
def test_eps_values_are_a_list_or_auto(value: object) -> None:
    refuse(r"eps_values is .*give a list, such as \[0\.3, 0\.5\], or 'auto'", eps_values=value)


@pytest.mark.parametrize("bad", [-0.1, 0, math.nan, math.inf, "near", None, True, 1e-9])
def test_bad_eps_values(bad: object) -> None:
    refuse(f"in eps_values: eps is {re.escape(repr(bad))}", eps_values=[0.3, bad])


@pytest.mark.parametrize("bad", [-5, 0, 2.5, math.nan, "five", None, True])
def test_bad_min_samples_values(bad: object) -> None:
    refuse(f"in min_samples_values: min_samples is {re.escape(repr(bad))}", min_samples_values=[5, bad])


def test_repeated_values() -> None:
    refuse(r"eps_values holds both 0\.3 and 0\.3: each", eps_values=[0.3, 0.5, 0.3])
    refuse(r"eps_values holds both 1 and 1\.0: each", eps_values=[1, 1.0])
    refuse(r"both 0\.3 and 0\.3000001, the same on the grid", eps_values=[0.3, 0.3000001])
    refuse("min_samples_values holds both 5 and 5", min_samples_values=[5, 10, 5])
    refuse("adapters holds both 'sklearn'", adapters=["sklearn", "sklearn"])
    assert grid(eps_values=[0.3, 0.300001])  # 1 mm is one step of the grid


def test_unknown_names_list_the_known() -> None:
    refuse("in adapters: unknown adapter 'hdbscan'.*sklearn_parallel", adapters=["sklearn", "hdbscan"])
    refuse("unknown metric 'score'.*overall_score, silhouette", metric="score")


def test_the_parameters_of_an_experiment_are_checked() -> None:
    refuse("coordinate_type", coordinate_type="middle")
    refuse("hours", hours="late")
    refuse("data_source", data_source=[])
    refuse("seed", seed=-1)


def test_a_large_grid_is_asked_for_twice() -> None:
    eps_values = [number / 100 for number in range(1, 102)]
    large = {"eps_values": eps_values, "min_samples_values": range(1, 101)}
    refuse(r"10,100 cells \(1 adapters? x 101 eps x 100 min_samples\).*allow_large=True \(`--yes`", **large)
    assert isinstance(grid(**large, allow_large=True), GridSpec)
    assert grid(**{**large, "eps_values": eps_values[:100]})
    half = {"adapters": ["sklearn", "sklearn_parallel"], "eps_values": eps_values[:51]}
    refuse("10,200 cells", **half, min_samples_values=range(1, 101))
    refuse(f"more than {MAX_CELLS:,}", eps_values="auto", min_samples_values=range(1, 2_002))
