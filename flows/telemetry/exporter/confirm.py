"""Ends of attempts wait here until Prefect's API knows of them too.

An event is only what somebody posted: whoever may use Prefect's API may post that a run succeeded. What counts is the
flow run itself, its current state or one that it had before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from flows.telemetry.exporter.events import NONE, STATUS_OF_STATE, Labels, RunEnded, plain

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

KNOWN_WITHIN = timedelta(seconds=10)
"""The stream may be faster than the transaction in which the run gets its state."""
MOST_PENDING = 20_000
"""Ends beyond which further ones wait for the next reading of ended runs, which needs no events."""

Name = tuple[UUID, int, UUID]


@dataclass(frozen=True, slots=True)
class Claim:
    """An end that an event told of. decide_at: from when on it is given up where the API does not know it."""

    end: RunEnded
    arrived: datetime
    decide_at: datetime


class Pending:
    """Claims, those that were asked for longest ago first."""

    def __init__(self) -> None:
        self._claims: dict[Name, Claim] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def add(self, end: RunEnded, now: datetime, *, written: bool) -> None:
        """Take in a claim; where Prefect has written its event to the database, the run has its state already."""
        name = _name(end)
        known = self._claims.get(name)
        decide_at = now if written else now + KNOWN_WITHIN
        if known is not None:
            self._claims[name] = replace(known, decide_at=min(known.decide_at, decide_at))
        elif len(self._claims) < MOST_PENDING:
            self._claims[name] = Claim(end, now, decide_at)

    def first(self, number: int) -> list[Claim]:
        """Some claims, which are the last ones from now on."""
        found = list(islice(self._claims.values(), number))
        for claim in found:
            self._claims[_name(claim.end)] = self._claims.pop(_name(claim.end))
        return found

    def drop(self, claim: Claim) -> None:
        """It is decided."""
        self._claims.pop(_name(claim.end), None)

    def known_until(self, moment: datetime) -> datetime:
        """The moment, or the arrival of the first claim before it: what came since is not known yet."""
        return min([moment, *(claim.arrived for claim in self._claims.values())])


def by_current_state(end: RunEnded, run: FlowRun, labels: Labels) -> RunEnded | None:
    """The end as the flow run tells it, where it is the state that the run has now."""
    state = run.state
    if state is None or STATUS_OF_STATE.get(state.type.value) != end.status or run.run_count != end.attempt:
        return None
    return replace(
        end, id=state.id, occurred=plain(state.timestamp), labels=_known(labels, run, end), begun=_begun(run)
    )


def by_history(end: RunEnded, run: FlowRun, labels: Labels, states: Iterable[State]) -> RunEnded | None:
    """The end as told, where the flow run had that very state; a state's event has the state's id."""
    for state in states:
        if state.id == end.id and STATUS_OF_STATE.get(state.type.value) == end.status and end.attempt <= run.run_count:
            return replace(end, occurred=plain(state.timestamp), labels=_known(labels, run, end), begun=_begun(run))
    return None


def _begun(run: FlowRun) -> datetime | None:
    return None if run.start_time is None else plain(run.start_time)


def _known(labels: Labels, run: FlowRun, end: RunEnded) -> Labels:
    """Names as the API has them. What it has no name for any more, a deleted deployment say, is as the event tells."""
    flow, deployment, pool = labels
    if deployment == NONE and run.deployment_id is not None:
        deployment = end.labels.deployment
    return Labels(end.labels.flow_name if flow == NONE else flow, deployment, pool)


def _name(end: RunEnded) -> Name:
    return end.run, end.attempt, end.id
