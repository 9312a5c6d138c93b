"""Experiment and ParameterSweep take what their flows take, with the same defaults; the CRDs are as the models say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from flows.core.errors import SettingsError
from flows.core.settings import load_settings
from flows.evaluation_flows import evaluation_pipeline
from flows.experiment_pipeline import experiment_pipeline
from flows.model.parameters import experiment_spec
from flows.model.sweep_parameters import grid_spec
from flows.operator.prefect.declare import load_declared
from flows.operator.prefect.state import DeploymentState
from flows.operator.resources.schema import (
    GROUP,
    KINDS,
    VERSION,
    ExperimentSpecification,
    ParameterSweepSpecification,
    Resources,
    Specification,
)
from flows.parameter_sweep import parameter_sweep_flow
from scripts.objects.crd import MUTABLE, files, specification
from tests.conftest import REPOSITORY
from tests.unit.declarations import values

NOT_OF_OBJECTS = {"use_minio", "resume", "cells_per_chunk", "chunk_attempts"}
"""A cluster has but one store, and an object is one new run."""


@pytest.mark.parametrize(
    ("spec", "flow"),
    [
        (ExperimentSpecification(data_source="x"), evaluation_pipeline.fn),
        (ExperimentSpecification(data_source="x", evaluate=False), experiment_pipeline.fn),
        (ParameterSweepSpecification(data_source="x"), parameter_sweep_flow.fn),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_defaults_are_those_of_the_flow(spec: Specification, flow: Callable[..., object]) -> None:
    wanted = {name: one.default for name, one in inspect.signature(flow).parameters.items()}
    assert set(spec.parameters) == set(wanted) - NOT_OF_OBJECTS
    assert {name: spec.parameters[name] for name in spec.parameters if name != "data_source"} == {
        name: wanted[name] for name in spec.parameters if name != "data_source"
    }
    assert spec.deployment.startswith(f"{flow.__name__}/")


def test_each_deployment_exists() -> None:
    declared = {one.name for one in load_declared(REPOSITORY, values()) if isinstance(one, DeploymentState)}
    specs: list[Specification] = [ParameterSweepSpecification(data_source="x")]
    for adapter in ("sklearn", "sklearn_parallel", "grid"):
        specs += [
            ExperimentSpecification(data_source="x", adapter=adapter, evaluate=judged) for judged in (True, False)
        ]
    assert {one.deployment for one in specs} <= declared


def test_parameters_pass_the_flows_own_checks() -> None:
    experiment = ExperimentSpecification(data_source="x", eps=0.1, hours="22-4", weekdays="fri-mon", max_samples=7)
    assert experiment_spec(**experiment.parameters).hours == "22-4"  # type: ignore[arg-type]
    sweep = ParameterSweepSpecification(data_source="x").parameters
    assert grid_spec("x", "grid", sweep["eps_values"], sweep["min_samples_values"], sweep["metric"])  # type: ignore[arg-type]


def test_an_experiments_sizes_are_its_pods() -> None:
    sizes = Resources(cpu_request="500m", memory="2Gi")
    assert ExperimentSpecification(data_source="x", resources=sizes).job_variables == sizes.job_variables()
    assert sizes.job_variables() == {"cpu_request": "500m", "memory": "2Gi"}
    assert ExperimentSpecification(data_source="x").job_variables == {}


def test_a_sweeps_sizes_are_those_of_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Resources(cpu_request="500m", cpu_limit="2", memory="2Gi")
    variables = ParameterSweepSpecification(data_source="x", resources=sizes).job_variables
    assert variables.keys() == {"env"}, "the coordinator's own pod stays small"
    for name, value in variables["env"].items():  # type: ignore[union-attr]
        monkeypatch.setenv(name, str(value))
    assert load_settings().cells.job_variables() == sizes.job_variables()
    monkeypatch.setenv("TAXI_CELLS__MEMORY", "much")
    with pytest.raises(SettingsError, match="TAXI_CELLS__MEMORY='much'"):
        load_settings()
    assert ParameterSweepSpecification(data_source="x").job_variables == {}


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="epsilon"):
        ExperimentSpecification.model_validate({"dataSource": "x", "epsilon": 1})


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_the_crds_are_written_from_the_models(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == files()[path], "run `python -m scripts.objects`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_all_but_one_field_can_not_be_changed(kind: type[Specification]) -> None:
    schema = specification(kind)
    rule = schema["x-kubernetes-validations"][-1]["rule"]  # type: ignore[index,call-overload]
    named = {name for name in schema["properties"] if f"self.{name} == oldSelf.{name}" in str(rule)}  # type: ignore[union-attr]
    assert named == set(schema["properties"]) - {MUTABLE}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "examples" / "kubernetes").glob("*.yaml")), ids=lambda file: file.name
)
def test_the_examples_are_objects_of_ours(file: Path) -> None:
    example = yaml.safe_load(file.read_text(encoding="utf-8"))
    (kind,) = (kind for kind in KINDS if kind.kind == example["kind"])
    assert example["apiVersion"] == f"{GROUP}/{VERSION}"
    assert kind.model_validate(example["spec"]).data_source


def test_bounds_are_numbers_that_kubernetes_can_compare_by() -> None:
    """It holds them as float64 and compares whole numbers as int64: 2**63 would overflow."""
    bounds = [
        float(line.partition(":")[2])
        for text in files().values()
        for line in text.splitlines()
        if line.strip().startswith(("maximum:", "minimum:"))
    ]
    assert bounds
    assert all(abs(bound) < 2**63 for bound in bounds)
