"""Parameters are refused before any data is touched, by name, value and what to use."""

from __future__ import annotations

import math

import pytest

from flows.core.errors import ParameterError
from flows.experiment_pipeline import experiment_pipeline
from flows.model.parameters import check_storable, experiment_spec


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


@pytest.mark.parametrize("number", [2**63, 242285449577923862350571934587112984123, 1e30, 10**400])
@pytest.mark.parametrize("name", ["seed", "min_samples", "max_samples"])
def test_numbers_beyond_64_bits(name: str, number: int) -> None:
    with pytest.raises(ParameterError, match=rf"{name} is .*: {name} is a whole number .*{2**63 - 1}"):
        experiment_spec("month.parquet", **{name: number})  # type: ignore[arg-type]
    assert getattr(experiment_spec("month.parquet", **{name: 2**63 - 1}), name) == 2**63 - 1  # type: ignore[arg-type]


def test_a_number_too_long_to_be_written_out() -> None:
    with pytest.raises(ParameterError, match="seed is a number of 16,610 bits: seed is a whole number"):
        experiment_spec("month.parquet", seed=10**5000)


@pytest.mark.parametrize("eps", [20_039, 1e30, 1e308])
def test_an_eps_beyond_the_earth(eps: float) -> None:
    with pytest.raises(ParameterError, match="no two places on Earth"):
        experiment_spec("month.parquet", eps=eps)


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"min_samples_values": [5, 2**63]}, "min_samples_values is 9223372036854775808"),
        ({"eps_values": (0.1, math.inf)}, "eps_values is inf: use a finite number"),
        ({"data_source": ["a.csv", "m\udcfcnchen.csv"]}, "data_source is .*: use text of UTF-8"),
        ({"data_source": "a\0b"}, "data_source is .*: use text of UTF-8 without zero characters"),
        ({"max_failed": -(2**63) - 1}, "max_failed is -9223372036854775809"),
    ],
)
def test_what_no_flow_run_may_hold(parameters: dict[str, object], fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        check_storable(parameters)
    check_storable({"seed": 2**63 - 1, "eps": 0.5, "data_source": ["a"], "max_samples": None})


def test_no_flow_run_is_made_of_a_number_beyond_64_bits() -> None:
    """Prefect's API answers 500 to every list that holds such a run."""
    with pytest.raises(ParameterError, match="seed is 18446744073709551616"):
        experiment_pipeline.serialize_parameters({"data_source": "a.parquet", "seed": 2**64})
    assert experiment_pipeline.serialize_parameters({"seed": 2**63 - 1}) == {"seed": 2**63 - 1}
    for name in ("seed", "min_samples"):
        assert experiment_pipeline.parameters.properties[name]["maximum"] == 2**63 - 1


def test_a_name_that_is_not_utf8() -> None:
    with pytest.raises(ParameterError, match=r"data_source is 'm\\udcfcnchen.csv': the name is not UTF-8"):
        experiment_spec("m\udcfcnchen.csv")
