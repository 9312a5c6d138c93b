"""What of Prefect's events counts: how attempts of flow runs begin and end, and why pods fail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.events import Event

Status = Literal["success", "failed", "crashed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
STATUS_OF_STATE: dict[str, Status] = {
    "COMPLETED": "success",
    "FAILED": "failed",
    "CRASHED": "crashed",
    "CANCELLED": "cancelled",
}

PodReason = Literal["OOMKilled", "Evicted", "ImagePullError", "CrashLoopBackOff", "Unschedulable", "Other"]
POD_REASONS: tuple[PodReason, ...] = get_args(PodReason)
_KNOWN_REASONS: dict[str, PodReason] = {reason: reason for reason in POD_REASONS}

RUN_PREFIX = "prefect.flow-run."
POD_PREFIX = "prefect.kubernetes.pod."
FAILED_POD_NAMES = (f"{POD_PREFIX}failed", f"{POD_PREFIX}evicted")
HEARTBEAT = f"{RUN_PREFIX}heartbeat"
DIAGNOSIS_LABEL = "kubernetes.diagnosis"

NONE = "none"
"""Value of a label where a run has no deployment or no work pool."""


class Labels(NamedTuple):
    """Whose run it is."""

    flow_name: str
    deployment: str = NONE
    work_pool: str = NONE


@dataclass(frozen=True, slots=True)
class RunStarted:
    """An attempt of a flow run (its run id and run count) began to run."""

    run: UUID
    attempt: int
    occurred: datetime


@dataclass(frozen=True, slots=True)
class RunEnded:
    """An attempt got a final state.

    id: of the state, which is also that of the event.
    corrects: the final state that the attempt had had before, where it had one.
    """

    id: UUID
    run: UUID
    attempt: int
    occurred: datetime
    status: Status
    corrects: Status | None
    labels: Labels


@dataclass(frozen=True, slots=True)
class PodFailed:
    """A pod failed or can't start."""

    pod: str
    reason: PodReason
    occurred: datetime


Observation = RunStarted | RunEnded | PodFailed


def parse(event: Event) -> Observation | None:
    """What an event says; None where it is of no interest."""
    if event.event.startswith(POD_PREFIX):
        return _pod(event)
    state_type, run = event.resource.get("prefect.state-type"), _run_id(event.resource.id)
    if run is None or state_type is None:
        return None
    attempt = int(event.resource.get("prefect.run-count") or 0)
    if state_type == "RUNNING":
        return RunStarted(run, attempt, plain(event.occurred))
    status = STATUS_OF_STATE.get(state_type)
    if status is None:
        return None
    return RunEnded(event.id, run, attempt, plain(event.occurred), status, _corrected(event), _labels(event))


def ended_run(run: FlowRun, labels: Labels) -> tuple[Observation, ...]:
    """What an ended flow run itself says, for the case that its events are lost."""
    if run.state is None or run.state.type.value not in STATUS_OF_STATE:
        return ()
    status = STATUS_OF_STATE[run.state.type.value]
    ended = RunEnded(run.state.id, run.id, run.run_count, plain(run.state.timestamp), status, None, labels)
    if run.run_count == 1 and run.start_time is not None:
        return (RunStarted(run.id, 1, plain(run.start_time)), ended)
    return (ended,)


def plain(moment: datetime) -> datetime:
    """Prefect's times are pendulum's, whose differences can't be divided by timedelta; the same time without that."""
    return datetime.fromisoformat(moment.isoformat())


def _run_id(resource_id: str) -> UUID | None:
    try:
        return UUID(resource_id.removeprefix(RUN_PREFIX))
    except ValueError:
        return None


def _corrected(event: Event) -> Status | None:
    initial = event.payload.get("initial_state")
    return STATUS_OF_STATE.get(str(initial.get("type"))) if isinstance(initial, dict) else None


def _labels(event: Event) -> Labels:
    names = {related.role: related.name for related in event.related}
    return Labels(names.get("flow") or NONE, names.get("deployment") or NONE, names.get("work-pool") or NONE)


def _pod(event: Event) -> PodFailed | None:
    diagnosis = event.resource.get(DIAGNOSIS_LABEL)
    if diagnosis is None and event.event not in FAILED_POD_NAMES:
        return None
    reason = _KNOWN_REASONS.get((diagnosis or "").partition(".")[0], "Other")
    return PodFailed(event.resource.id.removeprefix(POD_PREFIX), reason, plain(event.occurred))
