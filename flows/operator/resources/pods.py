"""Pods of flow runs, as far as they tell what keeps a run from running."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flows.operator.resources.status import OOM_KILLED, UNSCHEDULABLE, WAITS_IN_VAIN, Trouble, is_uuid

RUN_LABEL = "prefect.io/flow-run-id"
_TAKE_TURNS = "ErrImagePull", "ImagePullBackOff"
"""The former becomes the latter and back; one word is used for both."""


class _Part(BaseModel):
    """Of a pod. Kubernetes leaves out what is empty."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _Metadata(_Part):
    labels: dict[str, str] | None = None
    creation_timestamp: str | None = None


class _Condition(_Part):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None


class _Told(_Part):
    reason: str | None = None
    message: str | None = None


class _State(_Part):
    waiting: _Told | None = None
    terminated: _Told | None = None


class _Container(_Part):
    state: _State | None = None


class _Status(_Part):
    conditions: tuple[_Condition, ...] | None = None
    container_statuses: tuple[_Container, ...] | None = None


class Pod(_Part):
    """What is read of one."""

    metadata: _Metadata = Field(default_factory=_Metadata)
    status: _Status | None = None


class Pods(_Part):
    """A list, as the API server answers."""

    items: tuple[Pod, ...]


def troubles_of(pods: Iterable[Pod]) -> dict[str, Trouble]:
    """By the id of the flow run; of several pods of a run the newest counts."""
    found = {_run_id(pod): _trouble(pod) for pod in sorted(pods, key=_created)}
    # Anyone may give a pod the label.
    return {run_id: trouble for run_id, trouble in found.items() if trouble is not None and is_uuid(run_id)}


def _created(pod: Pod) -> str:
    return pod.metadata.creation_timestamp or ""


def _run_id(pod: Pod) -> str:
    return (pod.metadata.labels or {}).get(RUN_LABEL, "")


def _trouble(pod: Pod) -> Trouble | None:
    status = pod.status
    if status is None:
        return None
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return Trouble(condition.reason or UNSCHEDULABLE, condition.message or "")
    for container in status.container_statuses or ():
        if container.state is None:
            continue
        waiting, ended = container.state.waiting, container.state.terminated
        reason = "" if waiting is None else (waiting.reason or "").replace(*_TAKE_TURNS)
        if waiting is not None and reason in WAITS_IN_VAIN:
            return Trouble(reason, waiting.message or "")
        if ended is not None and ended.reason == OOM_KILLED:
            return Trouble(OOM_KILLED, "the container passed its memory limit")
    return None
