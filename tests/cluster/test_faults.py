"""What breaks on a cluster, and what becomes of the runs: a known final state in time, no record lost or doubled."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from flows.restarts import MOST_STARTS
from tests.cluster.kube import FLOWS, PLATFORM, as_person, get, kubectl, wait_until
from tests.cluster.prometheus import alerts, total
from tests.cluster.runs import Cluster, flow_run_state, job_of

pytestmark = pytest.mark.cluster

EXPERIMENT = "experiment_pipeline/default"
SWEEP = "parameter_sweep_flow/default"
SETTING = {"eps": 0.1, "min_samples": 50}
GRID = {"eps_values": [0.05, 0.1, 0.15, 0.2], "min_samples_values": [5, 10, 20, 50]}
LONG_GRID = {"eps_values": [0.02 * n for n in range(1, 31)], "min_samples_values": [5, 10, 20, 50]}
"""Takes a minute or more, so that something can break meanwhile."""
PENDING_LIMIT_SECONDS, CANCELLING_SECONDS = 120, 60
BOUND_SECONDS = 300
"""The worst of all faults ends within it."""


@pytest.fixture(autouse=True)
def repetition(request: pytest.FixtureRequest) -> None:
    """Each fault is tried three times by `make soak`, once by `make smoke`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = str(metafunc.config.option.markexpr)
    metafunc.parametrize("repetition", range(1 if chosen == "smoke" else 3), indirect=True)


def pods_of(run_id: UUID) -> list[Any]:
    found: list[Any] = get(FLOWS, "pods", "-l", f"prefect.io/flow-run-id={run_id}")
    return found


def until_running(cluster: Cluster, run_id: UUID, starts: int = 1) -> FlowRun:
    def running() -> FlowRun | None:
        found = cluster.prefect.read_flow_run(run_id)
        ready = found.state is not None and found.state.is_running() and found.run_count >= starts
        return found if ready else None

    return wait_until(running, f"start {starts} of {run_id}", 120)


def kill_pod(run_id: UUID) -> None:
    """As a drained node does: the pod gets a signal and some time."""
    for pod in pods_of(run_id):
        if pod["status"].get("phase") == "Running":
            kubectl("delete", "pod", pod["metadata"]["name"], "-n", FLOWS, "--wait=false")


def one_sweep_is_kept(cluster: Cluster, run_of: FlowRun, n_cells: int) -> dict[str, Any]:
    """Its record, with every cell's experiment there once."""
    (sweep,) = cluster.records("sweeps", run_of.id)
    assert [cell["status"] for cell in sweep["cells"]] == ["ok"] * n_cells
    kept = [one for child in cluster.children(sweep["id"]) for one in cluster.records("experiments", child.id)]
    ids = [one["id"] for one in kept]
    assert {cell["experiment_id"] for cell in sweep["cells"]} <= set(ids)
    return sweep


def state_of(cluster: Cluster, run_id: UUID) -> str:
    found = cluster.prefect.read_flow_run(run_id).state
    return found.type.value if found is not None else "none"


@pytest.mark.smoke
def test_a_flow_pod_out_of_memory_crashes_its_run(cluster: Cluster, months: tuple[str, ...]) -> None:
    before = total('prefect_pod_failures_total{reason="OOMKilled"}')
    started = cluster.start(EXPERIMENT, {"data_source": months[1]}, {"memory": "120Mi"})
    ended = cluster.finish(started.id, BOUND_SECONDS)
    assert ended.state is not None
    assert ended.state.is_crashed()
    assert cluster.records("experiments", started.id) == []
    wait_until(lambda: total('prefect_pod_failures_total{reason="OOMKilled"}') > before, "the reason", 60, 3)
    wait_until(lambda: alerts("PodOutOfMemory") or None, "PodOutOfMemory", 150, 5)


@pytest.mark.smoke
def test_a_deleted_pod_starts_its_run_again(cluster: Cluster, months: tuple[str, ...]) -> None:
    started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING})
    until_running(cluster, started.id)
    kill_pod(started.id)
    ended = cluster.finish(started.id, BOUND_SECONDS)
    assert ended.state is not None
    assert ended.state.is_completed()
    assert ended.run_count == 2
    assert len(cluster.records("experiments", started.id)) == 1


def test_a_pod_that_is_deleted_again_and_again_crashes_its_run(cluster: Cluster, months: tuple[str, ...]) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **LONG_GRID})
    for start in range(1, MOST_STARTS + 1):
        until_running(cluster, started.id, start)
        kill_pod(started.id)
    ended = cluster.finish(started.id, BOUND_SECONDS)
    assert ended.state is not None
    assert ended.state.is_crashed()
    assert f"this is start {MOST_STARTS + 1} of the flow run" in (ended.state.message or "")
    assert cluster.records("sweeps", started.id) == []
    wait_until(lambda: alerts("FlowCrashed") or None, "FlowCrashed", 150, 5)


@pytest.mark.smoke
def test_a_coordinator_that_is_killed_finds_its_children_again(cluster: Cluster, months: tuple[str, ...]) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **GRID})
    wait_until(lambda: children_of(cluster, started.id) or None, "a child", 120)
    kill_pod(started.id)
    ended = cluster.finish(started.id, BOUND_SECONDS)
    assert ended.state is not None
    assert ended.state.is_completed(), cluster.log(started.id)
    assert ended.run_count == 2
    sweep = one_sweep_is_kept(cluster, ended, 16)
    children = cluster.children(sweep["id"])
    assert len({child.idempotency_key for child in children}) == len(children) == 2, "none was started twice"
    assert {child.state_name for child in children} == {"Completed"}


def children_of(cluster: Cluster, parent_id: UUID) -> list[FlowRun]:
    of_parent = FlowRunFilterParentFlowRunId(any_=[parent_id])
    return cluster.prefect.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=of_parent))


def test_cancelling_a_sweep_cancels_its_children(cluster: Cluster, months: tuple[str, ...]) -> None:
    started = cluster.start(SWEEP, {"data_source": months[1], **LONG_GRID})

    def one_runs() -> bool:
        return any(child.state is not None and child.state.is_running() for child in children_of(cluster, started.id))

    wait_until(one_runs, "a child that runs", 180)
    cluster.prefect.set_flow_run_state(started.id, Cancelling(), force=True)
    assert cluster.finish(started.id).state_name == "Cancelled"

    def all_cancelled() -> bool:
        return all(child.state is not None and child.state.is_final() for child in children_of(cluster, started.id))

    wait_until(all_cancelled, "the end of the children", BOUND_SECONDS, 3)
    assert {child.state_name for child in children_of(cluster, started.id)} <= {"Cancelled", "Completed"}


@pytest.fixture
def _pending_limit(by_hand: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """The values of the release but for a short limit, as `taxi-flows platform apply` registers them; then put back."""
    values = yaml.safe_load(get(FLOWS, "configmap", "taxi-flows-platform")["data"]["platform.yaml"])
    files = {"TAXI_PLATFORM_FILE": tmp_path / "platform.yaml", "TAXI_INVENTORY_FILE": tmp_path / "inventory.json"}
    environment = {**by_hand, **{name: str(file) for name, file in files.items()}}

    def register(limit_seconds: int) -> None:
        changed = {**values, "pendingLimitSeconds": limit_seconds}
        files["TAXI_PLATFORM_FILE"].write_text(yaml.safe_dump(changed), encoding="utf-8")
        as_person(environment, sys.executable, "-m", "flows", "platform", "apply")

    register(PENDING_LIMIT_SECONDS)
    yield
    register(values["pendingLimitSeconds"])


@pytest.mark.usefixtures("_pending_limit")
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        pytest.param({"image": "localhost:5000/no-such-image:2"}, "ImagePullError", marks=pytest.mark.smoke),
        ({"cpu_request": "64", "cpu_limit": "64"}, "Unschedulable"),
    ],
    ids=["an image that can't be pulled", "a request that can't be scheduled"],
)
def test_a_run_that_can_not_start_is_cancelled(
    cluster: Cluster, months: tuple[str, ...], variables: dict[str, str], reason: str
) -> None:
    before = total(f'prefect_pod_failures_total{{reason="{reason}"}}')
    started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING}, variables)
    ended = cluster.finish(started.id, PENDING_LIMIT_SECONDS + CANCELLING_SECONDS + 60)
    assert ended.state_name == "Cancelled"
    wait_until(lambda: not get(FLOWS, "jobs", "-l", f"prefect.io/flow-run-id={started.id}"), "no Job", 60)
    assert total(f'prefect_pod_failures_total{{reason="{reason}"}}') > before
    assert reason.removesuffix("Error") in cluster.log(started.id).replace(" ", "")
    wait_until(lambda: alerts("FlowCannotStart") or None, "FlowCannotStart", 150, 5)


@pytest.mark.parametrize("part", ["deployment/prefect-server", "statefulset/postgresql"])
def test_a_sweep_outlives_a_restart_of_prefect(cluster: Cluster, months: tuple[str, ...], part: str) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **GRID})
    wait_until(lambda: children_of(cluster, started.id) or None, "a child", 120)
    kubectl("rollout", "restart", part, "-n", PLATFORM)
    kubectl("rollout", "status", part, "-n", PLATFORM, "--timeout=180s")
    ended_state = wait_until(lambda: final_state(started.id), f"the end of {started.id}", BOUND_SECONDS, 5)
    assert ended_state == "COMPLETED"


def final_state(run_id: UUID) -> str | None:
    """Asked anew each time: the server's address may have moved."""
    state = flow_run_state(str(run_id))
    return state if state in {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"} else None


@contextmanager
def scaled_down(part: str) -> Iterator[None]:
    kubectl("scale", part, "-n", PLATFORM, "--replicas=0")
    try:
        yield
    finally:
        kubectl("scale", part, "-n", PLATFORM, "--replicas=1")
        kubectl("rollout", "status", part, "-n", PLATFORM, "--timeout=180s")


@pytest.mark.parametrize("part", ["statefulset/prometheus-pushgateway", "statefulset/prometheus-server"])
def test_a_run_completes_without_telemetry(cluster: Cluster, months: tuple[str, ...], part: str) -> None:
    with scaled_down(part):
        ended = cluster.complete(EXPERIMENT, {"data_source": months[0], **SETTING})
    assert len(cluster.records("experiments", ended.id)) == 1


def test_a_run_waits_for_a_store_that_is_away(cluster: Cluster, months: tuple[str, ...]) -> None:
    started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING})
    until_running(cluster, started.id)
    with scaled_down("statefulset/minio"):
        wait_seconds(60, lambda: state_of(cluster, started.id))
    ended = cluster.finish(started.id, BOUND_SECONDS)
    assert ended.state is not None
    assert ended.state.is_completed(), ended.state
    wait_until(lambda: records_of(cluster, started.id), "the record", 60)
    assert len(cluster.records("experiments", started.id)) == 1


def records_of(cluster: Cluster, run_id: UUID) -> list[dict[str, Any]] | None:
    try:
        return cluster.records("experiments", run_id) or None
    except OSError:  # MinIO's port is forwarded anew
        return None


def wait_seconds(seconds: float, look: Callable[[], object]) -> None:
    """The outage itself has a length, not a condition."""
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        look()
        time.sleep(1)


def test_a_worker_that_is_killed_loses_no_run(cluster: Cluster, months: tuple[str, ...]) -> None:
    runs = [cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING}) for _ in range(2)]
    for worker in get(FLOWS, "pods", "-l", "app.kubernetes.io/component=worker"):
        kubectl("delete", "pod", worker["metadata"]["name"], "-n", FLOWS, "--grace-period=0", "--force")
    for one in runs:
        ended = cluster.finish(one.id, BOUND_SECONDS)
        assert ended.state is not None
        assert ended.state.is_completed(), ended.state
        assert len(cluster.records("experiments", one.id)) == 1
        assert json.dumps(job_of(one.id)["status"])


@pytest.mark.smoke
def test_two_sweeps_at_once_do_not_wait_for_each_other(cluster: Cluster, months: tuple[str, ...]) -> None:
    pair = [
        cluster.start(SWEEP, {"data_source": months[0], **GRID}),
        cluster.start("weekly_parameter_sweep_flow/default", {"data_source": months[0], **GRID, "max_samples": 2000}),
    ]
    for one in pair:
        ended = cluster.finish(one.id, BOUND_SECONDS)
        assert ended.state is not None
        assert ended.state.is_completed(), cluster.log(one.id)
        one_sweep_is_kept(cluster, ended, 16)
