"""What breaks under a run, and what becomes of it: a known final state in time, no record lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import yaml
from prefect.events.schemas.automations import EventTrigger
from prefect.states import Cancelling

from flows.runtime.restarts import MOST_STARTS
from tests.cluster.faults import (
    BOUND_SECONDS,
    EXPERIMENT,
    GRID,
    LONG_GRID,
    SETTING,
    SWEEP,
    Outcome,
    children_of,
    fires,
    kill_pod,
    kill_workers,
    one_sweep_is_kept,
    pods_of,
    until_a_child_runs,
    until_running,
    workers_away,
)
from tests.cluster.kube import FLOWS, apply, get, kubectl, pod, release, wait_until, write_release
from tests.cluster.prometheus import alerts, total
from tests.cluster.runs import LOG_SECONDS, Cluster, nowhere

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("repetition")]

PENDING_LIMIT_SECONDS, CANCELLING_SECONDS, LATE_SECONDS = 120, 60, 60
"""Late is an automation by the time between two of the operator's passes."""


@pytest.mark.smoke
@pytest.mark.fault("pod out of memory", "Crashed; PodOutOfMemory fires", "the work pool's memory limit")
def test_a_flow_pod_out_of_memory_crashes_its_run(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    before = total('prefect_pod_failures_total{reason="OOMKilled"}')
    started = cluster.start(EXPERIMENT, {"data_source": months[1]}, {"memory": "120Mi"})
    outcome.strikes()
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_crashed()
    assert cluster.records("experiments", started.id) == []
    wait_until(lambda: total('prefect_pod_failures_total{reason="OOMKilled"}') > before, "the reason", 60, 3)
    fires("PodOutOfMemory")


@pytest.mark.smoke
@pytest.mark.fault("pod deleted, node drained", "the same run starts again in a new pod", "three starts")
def test_a_deleted_pod_starts_its_run_again(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING})
    until_running(cluster, started.id)
    outcome.strikes()
    kill_pod(started.id)
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_completed()
    assert ended.run_count == 2
    assert len(cluster.records("experiments", started.id)) == 1


@pytest.mark.fault(
    "pod deleted at each start",
    "Crashed with that reason; FlowCrashed fires",
    "three starts, `flows/runtime/restarts.py`",
)
def test_a_pod_that_is_deleted_again_and_again_crashes_its_run(
    cluster: Cluster, months: tuple[str, ...], outcome: Outcome
) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **LONG_GRID})
    for start in range(1, MOST_STARTS + 1):
        until_running(cluster, started.id, start)
        outcome.strikes()
        kill_pod(started.id)
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_crashed()
    assert f"this is start {MOST_STARTS + 1} of the flow run" in (ended.state.message or "")
    assert cluster.records("sweeps", started.id) == []
    fires("FlowCrashed")


@pytest.mark.fault("pod and Job gone without a word", "Crashed; FlowCrashed fires", "three minutes without a heartbeat")
def test_a_pod_that_vanishes_crashes_its_run(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **LONG_GRID})
    until_a_child_runs(cluster, started.id)
    with workers_away():
        outcome.strikes()
        kubectl("delete", "job", "-l", f"prefect.io/flow-run-id={started.id}", "-n", FLOWS, "--cascade=orphan")
        for lost in pods_of(started.id):
            kubectl("delete", "pod", lost["metadata"]["name"], "-n", FLOWS, "--grace-period=0", "--force")
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_crashed()
    assert "heartbeat" in (ended.state.message or "")
    assert cluster.records("sweeps", started.id) == []
    fires("FlowCrashed")


@pytest.mark.smoke
@pytest.mark.fault(
    "coordinator's pod lost in a sweep", "it starts again and goes on with the runs it has", "idempotency keys"
)
def test_a_coordinator_that_is_killed_finds_its_children_again(
    cluster: Cluster, months: tuple[str, ...], outcome: Outcome
) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **GRID})
    wait_until(lambda: children_of(cluster, started.id), "a child", 120)
    outcome.strikes()
    kill_pod(started.id)
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_completed(), cluster.log(started.id)
    assert ended.run_count == 2
    sweep = one_sweep_is_kept(cluster, ended.id, 16)
    children = cluster.children(sweep["id"])
    assert len({child.idempotency_key for child in children}) == len(children) == 2, "none was started twice"
    assert {child.state_name for child in children} == {"Completed"}


@pytest.mark.fault("sweep cancelled", "the runs of its cells are cancelled", "the server, `cancellingTimeoutSeconds`")
def test_cancelling_a_sweep_cancels_its_children(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    started = cluster.start(SWEEP, {"data_source": months[1], **LONG_GRID})
    until_a_child_runs(cluster, started.id)
    outcome.strikes()
    cluster.prefect.set_flow_run_state(started.id, Cancelling(), force=True)
    assert cluster.finish(started.id).state_name == "Cancelled"

    def all_ended() -> bool:
        return all(child.state is not None and child.state.is_final() for child in children_of(cluster, started.id))

    wait_until(all_ended, "the end of the children", BOUND_SECONDS, 3)
    outcome.ends()
    assert {child.state_name for child in children_of(cluster, started.id)} <= {"Cancelled", "Completed"}


@pytest.fixture
def _pending_limit(cluster: Cluster) -> Iterator[None]:
    """The values of the release but for a short limit, which the operator takes over; then put back."""
    held = release()
    before = yaml.safe_load(held)["pendingLimitSeconds"]

    def write(text: str, limit_seconds: int) -> None:
        write_release(text)
        wait_until(lambda: within_seconds(cluster) == limit_seconds, "the limit in Prefect", 90)

    write(held.replace(f"pendingLimitSeconds: {before}", f"pendingLimitSeconds: {PENDING_LIMIT_SECONDS}"), 120)
    yield
    write(held, before)


def within_seconds(cluster: Cluster) -> float:
    """How long the automation lets a run be pending."""
    (automation,) = cluster.prefect.read_automations_by_name("pending-flow-runs")
    assert isinstance(automation.trigger, EventTrigger)
    return automation.trigger.within.total_seconds()


CANNOT_START = ("Cancelled, its Job deleted; FlowCannotStart fires", "`pendingLimitSeconds`, 600 (here 120)")


@pytest.mark.usefixtures("_pending_limit")
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        pytest.param(
            None,
            "ImagePullError",
            marks=[pytest.mark.smoke, pytest.mark.fault("image that can't be pulled", *CANNOT_START)],
            id="an image that can't be pulled",
        ),
        pytest.param(
            {"cpu_request": "64", "cpu_limit": "64"},
            "Unschedulable",
            marks=pytest.mark.fault("request that no node can hold", *CANNOT_START),
            id="a request that can't be scheduled",
        ),
    ],
)
def test_a_run_that_can_not_start_is_cancelled(
    cluster: Cluster,
    months: tuple[str, ...],
    by_hand: dict[str, str],
    outcome: Outcome,
    variables: dict[str, str] | None,
    reason: str,
) -> None:
    before = total(f'prefect_pod_failures_total{{reason="{reason}"}}')
    with ExitStack() as changed:
        if variables is None:
            changed.enter_context(nowhere(cluster, by_hand, EXPERIMENT))
        started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING}, variables)
        wait_until(lambda: get(FLOWS, "jobs", "-l", f"prefect.io/flow-run-id={started.id}"), "its Job", BOUND_SECONDS)
    outcome.strikes()
    ended = cluster.finish(started.id, PENDING_LIMIT_SECONDS + CANCELLING_SECONDS + LATE_SECONDS)
    outcome.ends()
    assert ended.state_name == "Cancelled"
    wait_until(lambda: not get(FLOWS, "jobs", "-l", f"prefect.io/flow-run-id={started.id}"), "no Job", 60)
    assert total(f'prefect_pod_failures_total{{reason="{reason}"}}') > before
    wait_until(
        lambda: reason.removesuffix("Error").lower() in cluster.log(started.id).replace(" ", "").lower(),
        f"{reason} in the run's log",
        LOG_SECONDS,
    )
    fires("FlowCannotStart")


@pytest.mark.fault("worker killed while runs go on", "they complete", "the observer of the next worker")
def test_a_worker_that_is_killed_loses_no_run(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **LONG_GRID})
    until_a_child_runs(cluster, started.id)
    outcome.strikes()
    kill_workers()
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_completed(), ended.state
    assert ended.run_count == 1
    one_sweep_is_kept(cluster, started.id, 120)


@pytest.mark.fault(
    "worker killed between taking a run and making its Job",
    "the run is scheduled again and completes",
    "90 s, the automation `lost-submissions`",
)
def test_a_worker_that_is_killed_during_submission_loses_no_run(
    cluster: Cluster, months: tuple[str, ...], environment: dict[str, str], outcome: Outcome
) -> None:
    with jobs_held_back(environment["TAXI_IMAGE_EXPERIMENT"]):
        started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING})
        wait_until(lambda: cluster.prefect.read_flow_run(started.id).state_name == "Submitting", "it", 60, 0.1)
        outcome.strikes()
        kill_workers()
    assert get(FLOWS, "jobs", "-l", f"prefect.io/flow-run-id={started.id}") == []
    ended = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert ended.state is not None
    assert ended.state.is_completed(), ended.state
    assert ended.run_count == 1
    assert len(cluster.records("experiments", started.id)) == 1


@contextmanager
def jobs_held_back(image: str) -> Iterator[None]:
    """No Job of flow runs is made while it lasts: the API server asks one that never answers."""
    name = "holds-jobs-back"
    silent = "import socket, time; s = socket.create_server(('', 8443)); time.sleep(600)"
    listening = pod(name, FLOWS, image, ["python", "-c", silent])
    metadata = {"name": name, "namespace": FLOWS}
    leads = {"selector": {"test": name}, "ports": [{"port": 443, "targetPort": 8443}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": leads}
    webhook = {
        "name": f"{name}.taxi.flows",
        "clientConfig": {"service": {"name": name, "namespace": FLOWS}},
        "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": FLOWS}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 30,
    }
    hook = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    try:
        apply(listening, service)
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", FLOWS, "--timeout=60s")
        apply({**hook, "metadata": {"name": name}, "webhooks": [webhook]})
        yield
    finally:
        kubectl("delete", "validatingwebhookconfiguration", name, "--ignore-not-found")
        kubectl("delete", f"pod/{name}", f"service/{name}", "-n", FLOWS, "--ignore-not-found", "--wait=false")


@pytest.mark.smoke
@pytest.mark.fault("two sweeps at once", "both complete", "coordinators have a pool of their own")
def test_two_sweeps_at_once_do_not_wait_for_each_other(
    cluster: Cluster, months: tuple[str, ...], outcome: Outcome
) -> None:
    outcome.strikes()
    pair = [
        cluster.start(SWEEP, {"data_source": months[0], **GRID}),
        cluster.start("weekly_parameter_sweep_flow/default", {"data_source": months[0], **GRID, "max_samples": 2000}),
    ]
    for one in pair:
        ended = cluster.finish(one.id, BOUND_SECONDS)
        assert ended.state is not None
        assert ended.state.is_completed(), cluster.log(one.id)
        one_sweep_is_kept(cluster, ended.id, 16)
    outcome.ends()


@pytest.mark.fault("40 runs at once", "they wait in Prefect and all complete; none is late", "the pool's limit")
def test_forty_runs_at_once_wait_for_their_turn(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    outcome.strikes()
    small = {"data_source": months[0], "max_samples": 500, **SETTING}
    started = [cluster.start(EXPERIMENT, small) for _ in range(40)]
    for one in started:
        ended = cluster.finish(one.id, QUEUE_SECONDS)
        assert ended.state is not None
        assert ended.state.is_completed(), ended.state
        assert ended.run_count == 1
    outcome.ends(QUEUE_SECONDS)
    assert alerts("FlowRunsLate") == alerts("FlowRunsLate", "pending") == []
    assert all(len(cluster.records("experiments", one.id)) == 1 for one in started)


QUEUE_SECONDS = 900
"""Two of them at a time, on two CPUs."""
