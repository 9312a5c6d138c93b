"""Where an adapter runs: in the same work pool whichever way it is started."""

from __future__ import annotations

from typing import get_args

import pytest

from flows.adapters.registry import adapter_names, is_parallel
from flows.model.deployments import AdapterFlow, deployment_of
from flows.operator.prefect.declare import load_declared
from flows.operator.prefect.state import DeploymentState
from flows.operator.resources.schema import ExperimentSpecification
from tests.conftest import REPOSITORY
from tests.unit.declarations import values


@pytest.mark.parametrize("flow", get_args(AdapterFlow))
def test_a_parallel_adapter_runs_in_the_parallel_pool(flow: AdapterFlow) -> None:
    pools = {
        one.name: one.work_pool_name for one in load_declared(REPOSITORY, values()) if isinstance(one, DeploymentState)
    }
    for adapter in adapter_names():
        assert pools[deployment_of(flow, adapter)] == ("parallel" if is_parallel(adapter) else "sequential")


@pytest.mark.parametrize(
    ("adapter", "name"), [("sklearn", "default"), ("sklearn_parallel", "parallel"), ("grid", "parallel")]
)
def test_an_experiment_object_runs_where_its_adapter_does(adapter: str, name: str) -> None:
    judged = ExperimentSpecification(data_source="x", adapter=adapter)
    assert judged.deployment == f"evaluation_pipeline/{name}"
    assert judged.model_copy(update={"evaluate": False}).deployment == f"experiment_pipeline/{name}"


def test_an_unknown_adapter_gets_one_cpu_and_is_refused_by_its_flow() -> None:
    assert deployment_of("experiment_pipeline", "dbscan") == "experiment_pipeline/default"
