"""What is declared is what the server holds, whoever registers it, and a schedule fires."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort

from tests.cluster.kube import FLOWS, as_person, frozen, get, kubectl, wait_until
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster

DAILY = "daily_adapter_comparison_flow/default"
NOTHING = "create: 0, update: 0, delete: 0, unchanged: 17, frozen: 0"
UNFINISHED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


def apply_dry(environment: dict[str, str], tmp_path_file: str) -> str:
    environment = {**environment, "TAXI_PLATFORM_FILE": tmp_path_file}
    return as_person(environment, sys.executable, "-m", "flows", "platform", "apply", "--dry-run")


@pytest.fixture
def platform_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The release's own platform.yaml."""
    file = tmp_path_factory.mktemp("platform") / "platform.yaml"
    file.write_text(get(FLOWS, "configmap", "taxi-flows-platform")["data"]["platform.yaml"])
    return str(file)


@pytest.mark.smoke
def test_after_the_release_nothing_is_left_to_apply(by_hand: dict[str, str], platform_file: str) -> None:
    assert apply_dry(by_hand, platform_file).splitlines()[-2] == NOTHING


@pytest.mark.smoke
def test_prefect_deploy_by_hand_gives_the_same(by_hand: dict[str, str], platform_file: str) -> None:
    as_person(by_hand, sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all")
    assert apply_dry(by_hand, platform_file).splitlines()[-2] == NOTHING


@pytest.mark.smoke
def test_an_unset_image_ends_a_deploy_before_any_change(cluster: Cluster, by_hand: dict[str, str]) -> None:
    before = {one.id: one.updated for one in cluster.prefect.read_deployments()}
    del by_hand["TAXI_IMAGE_EVALUATION"]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = as_person(by_hand, "bash", "-c", '"$@" || echo "ended with $?"', "-", *command, check=False)
    assert "ended with 1" in done
    assert "TAXI_IMAGE_EVALUATION" in done
    assert {one.id: one.updated for one in cluster.prefect.read_deployments()} == before


@pytest.mark.smoke
def test_the_inventory_lists_what_apply_owns(cluster: Cluster) -> None:
    inventory = "\n".join(get(FLOWS, "configmap", "taxi-flows-inventory")["data"].values())
    for name in ("sequential", "parallel", "coordinator", DAILY):
        assert name in inventory


@pytest.fixture
def soon(cluster: Cluster, by_hand: dict[str, str]) -> Iterator[FlowRun]:
    """A run that a schedule of the daily comparison starts within a minute or two."""
    with frozen(by_hand, f"deployment/{DAILY}"):
        yield from scheduled(cluster)


def scheduled(cluster: Cluster) -> Iterator[FlowRun]:
    """A run of a schedule of a person's own, which the operator would take away."""
    deployment = cluster.prefect.read_deployment_by_name(DAILY)
    at = datetime.now(UTC) + timedelta(minutes=2)
    cron = CronSchedule(cron=f"{at.minute} {at.hour} * * *", timezone="UTC")
    schedule = DeploymentScheduleCreate(schedule=cron, active=True)
    (added,) = cluster.prefect.create_deployment_schedules(deployment.id, [schedule])

    def due() -> FlowRun | None:
        runs = cluster.prefect.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED))),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
        limit = at + timedelta(minutes=1)
        near = [
            one for one in runs if one.expected_start_time and one.expected_start_time < limit and one.auto_scheduled
        ]
        return near[0] if near else None

    yield wait_until(due, "a scheduled run", 150)
    cluster.prefect.delete_deployment_schedule(deployment.id, added.id)


@pytest.mark.smoke
@pytest.mark.usefixtures("months")
def test_a_schedule_fires_and_takes_the_latest_month(cluster: Cluster, soon: FlowRun) -> None:
    done = cluster.finish(soon.id, 420)
    assert done.state is not None
    assert done.state.is_completed(), f"{done.state}\n{cluster.log(soon.id)}"
    cluster.await_log(soon.id, "the latest yellow month")
    assert cluster.records("comparisons", soon.id)


@pytest.mark.smoke
def test_no_run_pod_can_speak_to_kubernetes(cluster: Cluster, months: tuple[str, ...]) -> None:
    runs = get(FLOWS, "pods", "-l", "app.kubernetes.io/component=flow-run")
    assert runs
    assert all(one["spec"]["automountServiceAccountToken"] is False for one in runs)
    answer = kubectl("auth", "can-i", "--list", "-n", FLOWS, f"--as=system:serviceaccount:{FLOWS}:flow-run")
    rights = [line.split()[0] for line in answer.splitlines()[1:] if line and not line.startswith(" ")]
    assert not {"pods", "jobs.batch", "secrets", "configmaps"} & set(rights)
