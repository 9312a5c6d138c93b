"""What an object's status says: a pure function of the object, its flow run and what its pod tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field, ValidationError

from flows.model.outcome import Outcome
from flows.operator.resources.schema import FINISHED, Part, Phase

ConditionType = Literal["Running", "Succeeded", "Failed"]
CONDITIONS: tuple[ConditionType, ...] = ("Running", "Succeeded", "Failed")


_LONGEST_REASON = 256


class Condition(Part):
    """As `kubectl wait --for=condition=...` reads it."""

    type: ConditionType
    status: Literal["True", "False"]
    reason: str = Field(max_length=_LONGEST_REASON, description="One word in CamelCase.")
    message: str = Field(max_length=4096)
    last_transition_time: str = Field(description="When `status` last changed, RFC 3339.")


class Best(Part):
    """The best setting of a sweep."""

    eps: float = Field(description="Kilometres.")
    min_samples: int
    score: float | None = Field(None, description="Its overall score; absent where it is undefined.")


class Cells(Part):
    """How far a sweep is."""

    total: int
    done: int = 0
    failed: int = 0


class Status(Part):
    """All that the operator tells of an object."""

    observed_generation: int | None = None
    phase: Phase = "Pending"
    flow_run_id: str | None = None
    flow_run_url: str | None = Field(None, description="Its page in Prefect's UI.")
    started_at: str | None = Field(None, description="When it began to run, RFC 3339.")
    finished_at: str | None = Field(None, description="When it ended, RFC 3339.")
    record_key: str | None = Field(None, description="Its record in the bucket of experiments.")
    clusters: int | None = None
    noise_ratio: float | None = None
    score: float | None = Field(None, description="Overall score, 0 to 1; absent where it is undefined.")
    cells: Cells | None = Field(None, description="Of a sweep.")
    best: Best | None = Field(None, description="Of a sweep, so far.")
    conditions: tuple[Condition, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.phase in FINISHED


@dataclass(frozen=True)
class Run:
    """A flow run, as far as a status shows it.

    state: type of its state in lower case, such as running. name: of the state, such as InfrastructurePending.
    uid: of the object that it was started for, where that is known.
    """

    id: str
    state: str
    name: str
    message: str
    started_at: datetime | None
    ended_at: datetime | None
    uid: str = ""
    created_at: datetime | None = None

    @property
    def phase(self) -> Phase:
        """Of an object whose run it is."""
        return _PHASES.get(self.state, "Pending")

    @property
    def ended(self) -> bool:
        """Whether nothing will come of it any more, unless someone retries it."""
        return self.phase in FINISHED


def read_status(data: object) -> Status:
    """The status that an object carries, whoever wrote it.

    What can't be right in it is left out, and with it the generation that it observed: so it is written anew. A run
    that it names stays named, since a new one must not be started for it.
    """
    fields = dict(data) if isinstance(data, dict) else {}
    faults: set[str] = set()
    try:
        status = Status.model_validate(fields)
    except ValidationError as error:
        faults = {str(fault["loc"][0]) for fault in error.errors()}
        status = Status.model_validate({name: value for name, value in fields.items() if name not in faults})
    wrong = {name: None for name in ("started_at", "finished_at") if not _is_time(getattr(status, name))}
    wrong |= {} if is_uuid(status.flow_run_id) else {"flow_run_id": None}
    status = status.model_copy(update=wrong)
    if status.finished and (status.finished_at is None or (status.flow_run_id is None and status.phase != "Failed")):
        faults.add("phase")
        status = status.model_copy(update={"phase": "Pending"})
    return status.model_copy(update={"observed_generation": None}) if faults or wrong else status


def is_uuid(text: str | None) -> bool:
    """Whether it is one, or nothing at all."""
    try:
        return text is None or str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_time(text: str | None) -> bool:
    """Whether it is RFC 3339 with its zone, or nothing at all."""
    try:
        return text is None or datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


UNSCHEDULABLE, OOM_KILLED = "Unschedulable", "OOMKilled"
WAITS_IN_VAIN = frozenset(
    {"ImagePullBackOff", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError"}
)
"""What a container waits for that will not come by itself."""
TROUBLES = frozenset({UNSCHEDULABLE, OOM_KILLED, *WAITS_IN_VAIN})
"""The reasons that a Trouble may have."""


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not run, or no longer does: a word such as OOMKilled, and what Kubernetes says."""

    reason: str
    message: str


def of_cells(troubles: Mapping[str, Trouble]) -> Trouble | None:
    """What a sweep tells of the pods of its cells, by their flow runs: the first that does not just wait for room."""
    worst = min(troubles.items(), key=lambda one: (one[1].reason == UNSCHEDULABLE, one[0]), default=None)
    if worst is None:
        return None
    run_id, trouble = worst
    return Trouble(trouble.reason, f"flow run {run_id} of its cells: {trouble.message}")


_PHASES: dict[str, Phase] = {
    "running": "Running",
    "cancelling": "Running",
    "completed": "Succeeded",
    "failed": "Failed",
    "crashed": "Failed",
    "cancelled": "Cancelled",
}
"""Of a flow run's state; every other one is Pending."""


def of_run(
    before: Status,
    generation: int,
    run: Run,
    url: str,
    trouble: Trouble | None,
    outcome: Outcome | None,
    now: datetime,
) -> Status:
    """The status that a flow run gives its object.

    Args:
        before: what stands there now.
        generation: of the object, to be observed.
        url: of the run's page.
        trouble: of the run's pod, or of a cell's.
        outcome: what the run has published; without one, what stands there stays.
        now: the time, for conditions that change.
    """
    phase = run.phase
    reason, message = _words(run, None if phase == "Succeeded" else trouble)
    return before.model_copy(
        update={
            **({} if outcome is None else _results(outcome)),
            "observed_generation": generation,
            "phase": phase,
            "flow_run_id": run.id,
            "flow_run_url": url,
            "started_at": _text(run.started_at) or before.started_at,
            "finished_at": (_text(run.ended_at) or before.finished_at or _text(now)) if phase in FINISHED else None,
            "conditions": _conditions(before, phase, reason, message, now),
        }
    )


def _results(outcome: Outcome) -> dict[str, object]:
    """Fields of the status, as short as `kubectl get` shows them; the record has all digits."""
    score, best, cells = _short(outcome.score), None, None
    if outcome.best_eps is not None and outcome.best_min_samples is not None:
        best = Best(eps=outcome.best_eps, min_samples=outcome.best_min_samples, score=score)
    if outcome.cells is not None:
        cells = Cells(total=outcome.cells, done=outcome.cells_done or 0, failed=outcome.cells_failed or 0)
    found = {
        "record_key": outcome.record_key,
        "clusters": outcome.clusters,
        "noise_ratio": _short(outcome.noise_ratio),
        "score": score,
        "cells": cells,
        "best": best,
    }
    return {name: value for name, value in found.items() if value is not None}


def _short(value: float | None) -> float | None:
    return round(value, 4) if value is not None and math.isfinite(value) else None


def unable(before: Status, generation: int, reason: str, message: str, now: datetime, *, final: bool) -> Status:
    """The status where there is no flow run to tell of: Prefect is away, or refuses; with final, for good."""
    phase: Phase = "Failed" if final else before.phase
    conditions = _conditions(before, phase, reason, message, now)
    finished_at = _text(now) if final else None
    return before.model_copy(
        update={
            "observed_generation": generation,
            "phase": phase,
            "finished_at": finished_at,
            "conditions": conditions,
        }
    )


def _words(run: Run, trouble: Trouble | None) -> tuple[str, str]:
    reason = trouble.reason if trouble is not None and _says_more(run, trouble) else run.name.replace(" ", "")
    message = "; ".join(text for text in (trouble and trouble.message, " ".join(run.message.split())) if text)
    return reason[:_LONGEST_REASON] or "Unknown", message


def _says_more(run: Run, trouble: Trouble) -> bool:
    """Whether the trouble is why the run is as it is. That a cell waits for room while others run is no news."""
    return run.phase == "Pending" or (run.state in {"running", "failed", "crashed"} and trouble.reason != UNSCHEDULABLE)


def _conditions(before: Status, phase: Phase, reason: str, message: str, now: datetime) -> tuple[Condition, ...]:
    true_of: dict[ConditionType, bool] = {
        "Running": phase == "Running",
        "Succeeded": phase == "Succeeded",
        "Failed": phase in {"Failed", "Cancelled"},
    }
    held = {one.type: one for one in before.conditions}
    made = []
    for kind in CONDITIONS:
        status: Literal["True", "False"] = "True" if true_of[kind] else "False"
        old = held.get(kind)
        since = old.last_transition_time if old is not None and old.status == status else _text(now)
        made.append(
            Condition(type=kind, status=status, reason=reason, message=message[:4096], last_transition_time=since or "")
        )
    return tuple(made)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
