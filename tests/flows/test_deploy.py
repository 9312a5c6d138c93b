"""Deploying: what the server holds afterwards is what prefect.yaml says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.workers.process import ProcessWorker

from flows.experiment_pipeline import experiment_pipeline
from flows.scheduled_flows import daily_adapter_comparison_flow
from tests.conftest import REPOSITORY
from tests.flows.deploying import deploy, empty

POOLS = ("sequential", "parallel", "coordinator")
DECLARED = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
"""The deployments of prefect.yaml, its anchors resolved."""


def name_of(declared: dict[str, Any]) -> str:
    return f"{declared['entrypoint'].rpartition('.')[2]}/{declared['name']}"


@pytest.fixture(scope="module")
def client() -> Iterator[SyncPrefectClient]:
    """Of the session's server, with the three pools as process pools."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        empty(client)
        for pool in POOLS:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
        yield client
        empty(client)


@pytest.fixture(scope="module")
def deployed(client: SyncPrefectClient, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DeploymentResponse]:
    """What the server holds after `prefect deploy --all`, by `<flow>/<deployment>`."""
    done = deploy(tmp_path_factory.mktemp("prefect"), "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    flows = {flow.id: flow.name for flow in client.read_flows()}
    return {f"{flows[one.flow_id]}/{one.name}": one for one in client.read_deployments()}


def as_declared(schedule: DeploymentSchedule) -> tuple[str, str | None, bool, str | None]:
    assert isinstance(schedule.schedule, CronSchedule)
    return schedule.schedule.cron, schedule.schedule.timezone, schedule.active, schedule.slug


def test_every_deployment_is_there_and_no_other(deployed: dict[str, DeploymentResponse]) -> None:
    assert (
        set(deployed)
        == {name_of(declared) for declared in DECLARED}
        == {
            "experiment_pipeline/default",
            "experiment_pipeline/parallel",
            "evaluation_pipeline/default",
            "evaluation_pipeline/parallel",
            "parameter_sweep_flow/default",
            "compare_adapters_sweep_flow/default",
            "daily_adapter_comparison_flow/default",
            "weekly_parameter_sweep_flow/default",
            "aggregate_results_flow/default",
            "sweep_cells_flow/sequential",
            "sweep_cells_flow/parallel",
        }
    )


@pytest.mark.parametrize("declared", DECLARED, ids=name_of)
def test_the_server_holds_what_the_file_says(declared: dict[str, Any], deployed: dict[str, DeploymentResponse]) -> None:
    held = deployed[name_of(declared)]
    assert held.entrypoint == declared["entrypoint"]
    assert held.parameters == declared["parameters"]
    assert held.work_pool_name == declared["work_pool"]["name"]
    assert held.job_variables == {"image": None}, "process pools need no image"
    assert (held.tags, held.description) == (declared["tags"], declared["description"])
    assert [as_declared(schedule) for schedule in held.schedules] == [
        (one["cron"], one["timezone"], one["active"], one["slug"]) for one in declared["schedules"]
    ]
    limit = declared.get("concurrency_limit")
    if limit is None:
        assert held.global_concurrency_limit is None
    else:
        assert held.global_concurrency_limit is not None
        assert held.global_concurrency_limit.limit == limit["limit"]
        assert held.concurrency_options is not None
        assert held.concurrency_options.collision_strategy == limit["collision_strategy"]
    assert (held.pull_steps or [], held.path) == ([], None), "nothing of the deploying machine is stored"


def test_parameters_are_those_of_the_flows(deployed: dict[str, DeploymentResponse]) -> None:
    for name, held in deployed.items():
        schema = held.parameter_openapi_schema
        assert schema is not None
        assert set(held.parameters) <= set(schema["properties"]), name
        if not name.startswith("sweep_cells_flow/"):  # other flows start it
            assert set(schema.get("required", [])) <= set(held.parameters), f"{name} starts without a parameter"


def test_the_guides_schedules_and_pools(deployed: dict[str, DeploymentResponse]) -> None:
    schedules = {name: [as_declared(one)[:2] for one in held.schedules] for name, held in deployed.items()}
    assert {name: found for name, found in schedules.items() if found} == {
        "daily_adapter_comparison_flow/default": [("0 2 * * *", "UTC")],
        "weekly_parameter_sweep_flow/default": [("0 3 * * 1", "UTC")],
    }
    for flow in ("experiment_pipeline", "evaluation_pipeline"):
        for name, pool, adapter in (("default", "sequential", "sklearn"), ("parallel", "parallel", "sklearn_parallel")):
            held = deployed[f"{flow}/{name}"]
            assert (held.work_pool_name, held.parameters["adapter_type"]) == (pool, adapter)


def test_schedules_make_runs(client: SyncPrefectClient, deployed: dict[str, DeploymentResponse]) -> None:
    daily = deployed["daily_adapter_comparison_flow/default"]
    client._client.post(f"/deployments/{daily.id}/schedule").raise_for_status()
    runs = client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[daily.id])))
    starts = [one.expected_start_time for one in runs if one.auto_scheduled]
    assert starts
    assert all(start is not None and (start.hour, start.minute) == (2, 0) for start in starts)


@pytest.mark.usefixtures("deployed")  # first, so that it lists no deployment of ours
def test_the_guides_deploy_command(client: SyncPrefectClient, tmp_path: Path) -> None:
    done = deploy(
        tmp_path,
        *("flows/experiment_pipeline.py:experiment_pipeline", "--name", "daily-experiments"),
        *("--cron", "0 2 * * *", "--pool", "sequential"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    held = client.read_deployment_by_name("experiment_pipeline/daily-experiments")
    assert held.work_pool_name == "sequential"
    assert [as_declared(schedule)[0] for schedule in held.schedules] == ["0 2 * * *"]
    assert held.pull_steps == []


def test_what_serve_would_register() -> None:
    parameters = {"data_source": "yellow_tripdata_2025-09.parquet", "adapter_type": "sklearn"}
    served = experiment_pipeline.to_deployment(name="daily-experiments", cron="0 2 * * *", parameters=parameters)
    nightly = daily_adapter_comparison_flow.to_deployment(name="nightly", cron="0 2 * * *")
    for one, expected in ((served, parameters), (nightly, {})):
        assert isinstance(one, RunnerDeployment)
        assert one.parameters == expected
        (declared,) = one.schedules or []
        assert isinstance(declared.schedule, CronSchedule)
        assert declared.schedule.cron == "0 2 * * *"
