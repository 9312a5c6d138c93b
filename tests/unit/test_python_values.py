"""Values as a notebook has them are taken; what is no such value is refused in words."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from flows.core.errors import ParameterError
from flows.model.parameters import experiment_spec, plain
from flows.model.sweep_parameters import grid_spec
from flows.records.sweep_storage import resumed_plan
from flows.runtime.flow_decorator import flow
from flows.sweeps.chunks import fan_out


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.arange(10, 20, 5)[0], 10),
        (np.int32(1000), 1000),
        (np.uint64(2**63 - 1), 2**63 - 1),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(0.25), 0.25),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("month.csv"), "month.csv"),
        (np.array(7), 7),
        (np.array([5, 10]), [5, 10]),
        (np.array([[1.5], [2.5]]), [[1.5], [2.5]]),
        (np.array(["a.csv", "b.csv"]), ["a.csv", "b.csv"]),
        (np.array([Path("a.csv")], dtype=object), ["a.csv"]),
        ((0.1, np.float64(0.2)), [0.1, 0.2]),
        (range(5, 20, 5), [5, 10, 15]),
        (Path("months") / "a.csv", "months/a.csv"),
        ([PurePosixPath("a.csv")], ["a.csv"]),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (True, True),
        (None, None),
        (b"a.csv", b"a.csv"),
    ],
)
def test_values_become_what_json_has(value: object, expected: object) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_spec_of_numpy_values_is_that_of_plain_ones() -> None:
    numpy = experiment_spec(
        Path("a.csv"),  # type: ignore[arg-type]
        eps=np.float64(0.25),
        min_samples=np.int64(7),  # type: ignore[arg-type]
        max_samples=np.int32(1000),  # type: ignore[arg-type]
        use_minio=np.bool_(False),  # type: ignore[arg-type]
        seed=np.uint8(3),  # type: ignore[arg-type]
    )
    assert numpy == experiment_spec("a.csv", eps=0.25, min_samples=7, max_samples=1000, use_minio=False, seed=3)
    assert type(numpy.min_samples) is int


def test_a_grid_of_arrays_is_that_of_lists() -> None:
    arrays = grid_spec(
        (Path("a.csv"), Path("b.csv")),  # type: ignore[arg-type]
        np.array(["grid", "sklearn"]),  # type: ignore[arg-type]
        np.array([0.25, 0.5]),  # type: ignore[arg-type]
        np.arange(5, 20, 5),  # type: ignore[arg-type]
    )
    assert arrays == grid_spec(["a.csv", "b.csv"], ["grid", "sklearn"], [0.25, 0.5], [5, 10, 15])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_source", None),
        ("data_source", 7),
        ("data_source", b"a.csv"),
        ("data_source", [None]),
        ("data_source", {"a": 1}),
        ("data_source", []),
        ("adapter_type", None),
        ("adapter_type", ["grid"]),
        ("eps", None),
        ("eps", "0.5"),
        ("eps", True),
        ("eps", np.array([0.5])),
        ("eps", np.datetime64("2025-01-01")),
        ("min_samples", np.float64(10.5)),
        ("min_samples", True),
        ("min_samples", np.bool_(True)),
        ("min_samples", np.uint64(2**64 - 1)),
        ("max_samples", "all"),
        ("seed", None),
        ("seed", np.int64(-1)),
        ("coordinate_type", None),
        ("coordinate_type", np.array(["pickup", "dropoff"])),
        ("use_minio", None),
        ("hours", 7),
        ("hours", (7, 10)),
        ("weekdays", ["mon"]),
    ],
)
def test_other_types_are_refused_in_words(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match="adapter" if name == "adapter_type" else f"{name} is "):
        experiment_spec(**{"data_source": "a.csv", name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eps_values", None),
        ("eps_values", 0.5),
        ("eps_values", [[0.5]]),
        ("eps_values", np.array([np.nan])),
        ("min_samples_values", np.array([])),
        ("min_samples_values", np.array([2.5])),
        ("adapters", None),
        ("adapters", [["grid"]]),
        ("metric", None),
        ("metric", ["overall_score"]),
    ],
)
def test_other_types_of_a_grid_are_refused_in_words(name: str, value: object) -> None:
    good = {"data_source": "a.csv", "adapters": "grid", "eps_values": [0.5], "min_samples_values": [5]}
    with pytest.raises(ParameterError, match="adapter" if name == "adapters" else name.partition("_")[0]):
        grid_spec(**{**good, name: value})  # type: ignore[arg-type]


def test_other_types_of_a_sweep_are_refused_in_words() -> None:
    with pytest.raises(ParameterError, match="resume is 7"):
        resumed_plan(7)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="max_parallel is None"):
        fan_out(None, None, 2)  # type: ignore[arg-type]


def test_a_flow_gets_plain_values(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr("prefect.flow_engine.run_flow", lambda flow, parameters, **_: seen.update(parameters))

    @flow(name="seen")
    def one(days: int, names: list[str]) -> None:
        """Nothing is run."""

    one(np.int64(7), names=(Path("a.csv"),))  # type: ignore[call-overload]
    assert seen == {"days": 7, "names": ["a.csv"]}
    assert type(seen["days"]) is int
