"""What of Prefect's events counts: how attempts of flow runs begin and end, and why pods fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
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

_STATE_TYPES = {*STATUS_OF_STATE, "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"}

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
LONGEST_LABEL = 200
"""Characters of a name beyond which it is cut."""


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
    begun: when the flow run first began to run, where that is known; no attempt began before.
    """

    id: UUID
    run: UUID
    attempt: int
    occurred: datetime
    status: Status
    corrects: Status | None
    labels: Labels
    begun: datetime | None = None


@dataclass(frozen=True, slots=True)
class PodFailed:
    """A pod failed or can't start."""

    pod: str
    reason: PodReason
    occurred: datetime


@dataclass(frozen=True, slots=True)
class OddEvent:
    """An event that Prefect does not send, and what is wrong with it."""

    why: str


Observation = RunStarted | RunEnded | PodFailed


def parse(event: Event) -> Observation | OddEvent | None:
    """What an event says; None where it is of no interest.

    Whoever may use Prefect's API may post an event of any name, with any labels and any payload, also one that Prefect
    never sends. Such a one is an OddEvent, and no exception.
    """
    try:
        return _parse(event)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        return OddEvent(f"{type(error).__name__}: {error}")


def _parse(event: Event) -> Observation | None:
    if event.event.startswith(POD_PREFIX):
        return _pod(event)
    if not event.event.startswith(RUN_PREFIX) or event.event == HEARTBEAT:
        return None
    run = UUID(event.resource.id.removeprefix(RUN_PREFIX))
    attempt = _attempt(event.resource["prefect.run-count"])
    state_type = _state_type(event.resource["prefect.state-type"])
    if state_type == "RUNNING":
        return RunStarted(run, attempt, plain(event.occurred))
    status = STATUS_OF_STATE.get(state_type)
    if status is None:
        return None
    if not isinstance(event.id, UUID):
        raise TypeError("its id is no UUID")
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


def label(name: str | None) -> str:
    """A name as the value of a label; `none` where there is none.

    Raises:
        TypeError, ValueError: it is no text, or none that can be written as UTF-8.
    """
    if name is None or name == "":
        return NONE
    if not isinstance(name, str):
        raise TypeError("a name is no text")
    name.encode()
    return name[:LONGEST_LABEL]


def plain(moment: datetime) -> datetime:
    """Prefect's times are pendulum's, whose differences can't be divided by timedelta; the same time without that.

    Raises:
        ValueError: it has no time zone.
        OverflowError: it is none of UTC's years 1 to 9999.
    """
    found = datetime.fromisoformat(moment.isoformat())
    if found.tzinfo is None:
        raise ValueError("a time has no zone")
    return found.astimezone(UTC)


def _attempt(run_count: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", run_count):
        raise ValueError(f"the run count is {run_count[:20]!r}")
    return int(run_count)


def _state_type(name: str) -> str:
    if name not in _STATE_TYPES:
        raise ValueError(f"the state type is {name[:20]!r}")
    return name


def _corrected(event: Event) -> Status | None:
    initial = event.payload.get("initial_state")
    return None if initial is None else STATUS_OF_STATE.get(_state_type(initial["type"]))


def _labels(event: Event) -> Labels:
    names = {related.role: related.name for related in event.related}
    return Labels(label(names.get("flow")), label(names.get("deployment")), label(names.get("work-pool")))


def _pod(event: Event) -> PodFailed | None:
    diagnosis = event.resource.get(DIAGNOSIS_LABEL)
    if diagnosis is None and event.event not in FAILED_POD_NAMES:
        return None
    reason = _KNOWN_REASONS.get((diagnosis or "").partition(".")[0], "Other")
    pod = event.resource.id.removeprefix(POD_PREFIX)
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", pod):
        raise ValueError("the pod's id is none of Kubernetes")
    return PodFailed(pod, reason, plain(event.occurred))
