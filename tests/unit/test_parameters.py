"""Parameters are refused before any data is touched, by name, value and what to use."""

from __future__ import annotations

import math

import pytest

from flows.errors import ParameterError
from flows.parameters import experiment_spec, parse_hours, parse_weekdays


@pytest.mark.parametrize("eps", [0, -1, math.nan, math.inf, "0.5", "near", None, True])
def test_eps(eps: float) -> None:
    with pytest.raises(ParameterError, match="eps"):
        experiment_spec("month.parquet", eps=eps)


def test_an_eps_below_the_grid() -> None:
    with pytest.raises(ParameterError, match="grid"):
        experiment_spec("month.parquet", eps=1e-9)


@pytest.mark.parametrize("min_samples", [0, -3, 2.5, "5"])
def test_min_samples(min_samples: int) -> None:
    with pytest.raises(ParameterError, match=r"min_samples is .*whole number"):
        experiment_spec("month.parquet", min_samples=min_samples)


@pytest.mark.parametrize("max_samples", [0, -1, "all"])
def test_max_samples(max_samples: int) -> None:
    with pytest.raises(ParameterError, match="max_samples"):
        experiment_spec("month.parquet", max_samples=max_samples)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ParameterError, match="sklearn"):
        experiment_spec("month.parquet", adapter_type="hdbscan")
    with pytest.raises(ParameterError, match="pickup, dropoff or both"):
        experiment_spec("month.parquet", coordinate_type="middle")


def test_eps_is_rounded_to_the_grid() -> None:
    assert experiment_spec("month.parquet", eps=1).eps_m == 1000
    assert experiment_spec("month.parquet", eps=0.0001).eps_m == 102 / 1024


@pytest.mark.parametrize(
    ("hours", "expected"), [("7-10", {7, 8, 9}), ("22-4", {22, 23, 0, 1, 2, 3}), ("0-24", set(range(24)))]
)
def test_hours(hours: str, expected: set[int]) -> None:
    assert parse_hours(hours) == frozenset(expected)


@pytest.mark.parametrize("hours", ["7", "7-7", "24-3", "7-25", "-1-4", "morning", ""])
def test_bad_hours(hours: str) -> None:
    with pytest.raises(ParameterError, match="hours"):
        parse_hours(hours)


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [("mon-fri", {0, 1, 2, 3, 4}), ("sat,Sun", {5, 6}), ("fri-mon", {4, 5, 6, 0}), ("wed", {2})],
)
def test_weekdays(weekdays: str, expected: set[int]) -> None:
    assert parse_weekdays(weekdays) == frozenset(expected)


@pytest.mark.parametrize("weekdays", ["", "monday", "mon-", "1-5"])
def test_bad_weekdays(weekdays: str) -> None:
    with pytest.raises(ParameterError, match="weekdays"):
        parse_weekdays(weekdays)
