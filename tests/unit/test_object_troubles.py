"""What keeps pods of flow runs from running, as Kubernetes tells it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodCondition,
    V1PodStatus,
)

from flows.operator.objects.kube import troubles_of
from flows.operator.objects.status import Trouble

RUN = "8c9a05c7-7678-466a-966f-a996a0fc88dc"
NOT_SCHEDULED = V1PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes")


def pod(state: V1ContainerState, condition: V1PodCondition | None = None, minute: int = 0) -> V1Pod:
    """One of a flow run, made at a minute."""
    container = V1ContainerStatus(
        name="flow", image="i", image_id="", ready=False, restart_count=0, state=state, last_state=None
    )
    return V1Pod(
        metadata=V1ObjectMeta(
            labels={"prefect.io/flow-run-id": RUN}, creation_timestamp=datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        ),
        status=V1PodStatus(container_statuses=[container], conditions=[condition] if condition else None),
    )


def waiting(reason: str) -> V1ContainerState:
    return V1ContainerState(waiting=V1ContainerStateWaiting(reason=reason, message="why"))


def ended(reason: str) -> V1ContainerState:
    return V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=137, reason=reason))


RUNNING = V1ContainerState(running=V1ContainerStateRunning())


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (pod(RUNNING), None),
        (pod(waiting("ContainerCreating")), None),
        (pod(waiting("ImagePullBackOff")), Trouble("ImagePullBackOff", "why")),
        (pod(waiting("ErrImagePull")), Trouble("ImagePullBackOff", "why")),
        (pod(waiting("CreateContainerConfigError")), Trouble("CreateContainerConfigError", "why")),
        (pod(ended("OOMKilled")), Trouble("OOMKilled", "the container passed its memory limit")),
        (pod(ended("Error")), None),
        (pod(V1ContainerState(), NOT_SCHEDULED), Trouble("Unschedulable", "0/1 nodes")),
        (V1Pod(metadata=V1ObjectMeta(labels={"prefect.io/flow-run-id": RUN})), None),
    ],
)
def test_trouble_is_what_will_not_go_away_by_itself(found: V1Pod, told: Trouble | None) -> None:
    assert troubles_of([found]) == ({} if told is None else {RUN: told})


def test_a_pod_of_a_stranger_with_our_label_is_left_out() -> None:
    stranger = pod(ended("OOMKilled"))
    stranger.metadata = V1ObjectMeta(labels={"prefect.io/flow-run-id": "none"})
    assert troubles_of([stranger]) == {}


def test_of_several_pods_of_a_run_the_newest_counts() -> None:
    killed, fresh = pod(ended("OOMKilled"), minute=1), pod(RUNNING, minute=2)
    assert troubles_of([fresh, killed]) == troubles_of([killed, fresh]) == {}
    assert troubles_of([pod(RUNNING), killed])[RUN].reason == "OOMKilled"
