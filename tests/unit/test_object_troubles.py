"""What keeps pods of flow runs from running, as Kubernetes tells it."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from flows.operator.resources.pods import Pod, Pods, troubles_of
from flows.operator.resources.status import Trouble

RUN = "8c9a05c7-7678-466a-966f-a996a0fc88dc"
Part = dict[str, JsonValue]
NOT_SCHEDULED: Part = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}


def pod(state: Part, condition: Part | None = None, minute: int = 0, run: str = RUN) -> Pod:
    """One of a flow run, made at a minute, as Kubernetes tells it."""
    container: Part = {"name": "flow", "image": "i", "ready": False, "restartCount": 0, "state": state}
    status: Part = {"phase": "Pending", "containerStatuses": [container]}
    if condition is not None:
        status["conditions"] = [condition]
    labels: Part = {"prefect.io/flow-run-id": run}
    metadata: Part = {"name": "p", "labels": labels, "creationTimestamp": f"2026-01-01T00:{minute:02}:00Z"}
    return Pod.model_validate({"metadata": metadata, "spec": {"nodeName": "n"}, "status": status})


def waiting(reason: str) -> Part:
    return {"waiting": {"reason": reason, "message": "why"}}


def ended(reason: str) -> Part:
    return {"terminated": {"exitCode": 137, "reason": reason}}


RUNNING: Part = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


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
        (pod({}, NOT_SCHEDULED), Trouble("Unschedulable", "0/1 nodes")),
        (Pod.model_validate({"metadata": {"labels": {"prefect.io/flow-run-id": RUN}}}), None),
    ],
)
def test_trouble_is_what_will_not_go_away_by_itself(found: Pod, told: Trouble | None) -> None:
    assert troubles_of([found]) == ({} if told is None else {RUN: told})


def test_a_pod_of_a_stranger_with_our_label_is_left_out() -> None:
    assert troubles_of([pod(ended("OOMKilled"), run="none")]) == {}


def test_what_is_empty_is_left_out_or_null() -> None:
    answer = """{"kind": "PodList", "items": [{"metadata": {"labels": null}, "status": {}}, {"metadata": {}},
        {"metadata": {}, "status": {"conditions": null, "containerStatuses": [{"name": "flow"}]}}]}"""
    pods = Pods.model_validate_json(answer).items
    assert (len(pods), troubles_of(pods)) == (3, {})


def test_of_several_pods_of_a_run_the_newest_counts() -> None:
    killed, fresh = pod(ended("OOMKilled"), minute=1), pod(RUNNING, minute=2)
    assert troubles_of([fresh, killed]) == troubles_of([killed, fresh]) == {}
    assert troubles_of([pod(RUNNING), killed])[RUN].reason == "OOMKilled"
