"""Brings every object to its end: each turn compares all objects with all flow runs, and does what is missing.

What the objects' status says is all that has to be known from one turn to the next, so that a turn may be cut off at
any point, be missed, or be taken by two operators at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, get_args

from flows.core.errors import (
    ClusterError,
    ClusterRefusalError,
    FlowRunGoneError,
    InvalidSpecError,
    ObjectError,
    PrefectApiError,
    RunRefusedError,
)
from flows.model.outcome import Outcome
from flows.operator.cluster.kube import Reference
from flows.operator.faults import Faults
from flows.operator.resources.kube import Objects
from flows.operator.resources.maximum import Maximum
from flows.operator.resources.mirror import Ended, Held
from flows.operator.resources.runs import FlowRuns
from flows.operator.resources.schema import KINDS, Phase
from flows.operator.resources.status import TROUBLES, Run, Status, Trouble, of_cells, of_run, unable

EVERY_SECONDS = 5.0
RECENT_SECONDS = 60.0
COMES_BACK_SECONDS = 600.0
"""For so long a failed run is looked at again."""
FRESH_SECONDS = 240.0
"""After so long without a turn in which all answered the controller is not ready."""
NEW_SECONDS = 120.0
"""Longer than what a watch tells may be late."""
TURN_SECONDS = 60.0
"""What is not done by then is left for the next turn."""

_log = logging.getLogger("flows.operator")


class Controller:
    """Starts, follows and cancels the flow runs of objects.

    Args:
        objects: of the cluster.
        flow_runs: opens the Prefect server.
        post_event: says something in `kubectl describe` of an object: its reason, its message, and whether it is bad.
        run_url: page of a flow run in Prefect's UI, by its id.
        faults: told of what goes wrong.
        ttl_seconds: after which an ended object that names no time to live is deleted; None: it stays.
        maximum: of the sizes that an object may ask for.
    """

    def __init__(
        self,
        objects: Objects,
        flow_runs: Callable[[], AbstractContextManager[FlowRuns]],
        post_event: Callable[[Reference, str, str, bool], None],
        run_url: Callable[[str], str],
        faults: Faults | None = None,
        ttl_seconds: int | None = None,
        maximum: Maximum | None = None,
    ) -> None:
        self._objects, self._flow_runs, self._post_event, self._run_url = objects, flow_runs, post_event, run_url
        self._faults, self._succeeded_at, self._until = faults or Faults(), -FRESH_SECONDS, 0.0
        self._ttl_seconds, self._maximum = ttl_seconds, maximum or Maximum()
        self._known: set[str] = set()
        self.count: Mapping[tuple[str, ...], float] = _count(())

    def ready(self) -> bool:
        """Whether all answered not long ago."""
        return time.monotonic() - self._succeeded_at < FRESH_SECONDS

    def turn(self) -> None:
        """Take one turn. What does not answer is said in the log and in the objects, and asked again next time."""
        self._until = time.monotonic() + TURN_SECONDS
        try:
            self._turn()
        except PrefectApiError as error:
            self._faults.tell(_UNAVAILABLE, str(error))
            self._say_of_all(_UNAVAILABLE, str(error))
        except ClusterError as error:
            self._faults.tell("Kubernetes", str(error))
        else:
            self._succeeded_at = time.monotonic()
            self._faults.over(_UNAVAILABLE, "Prefect's API answers again.")
            self._faults.over("Kubernetes", "Kubernetes answers again.")

    def _turn(self) -> None:
        with self._flow_runs() as flow_runs:
            # Runs first: a run that another operator starts after this has its object among those that are read next.
            under_way = flow_runs.under_way()
            seen = self._seen()
            self._cancel_orphans(flow_runs, under_way, seen)
            ended = [one for one in seen if isinstance(one, Ended)]
            again = _reopened(flow_runs, under_way, ended)
            self._delete_expired(one for one in ended if one.uid not in again)
            self._observe(one for one in ended if not one.observed and one.uid not in again)
            live = [one for one in seen if isinstance(one, Held)]
            live += [held for one in ended if one.uid in again if (held := self._objects.read(one)) is not None]
            self._follow(flow_runs, under_way, sorted(live, key=_rank))

    def _seen(self) -> Sequence[Held | Ended]:
        seen = [one if isinstance(one, Ended) else one.ended or one for one in self._objects.all()]
        self.count = _count(seen)
        return seen

    def _cancel_orphans(self, flow_runs: FlowRuns, under_way: Mapping[str, Run], seen: Sequence[Held | Ended]) -> None:
        there = {one.uid for one in seen}
        now = datetime.now(UTC)
        for uid, run in under_way.items():
            if uid in there or run.state == "cancelling" or (uid not in self._known and _is_new(run, now)):
                continue
            _log.info("cancelling flow run %s: its object is gone", run.id)
            try:
                flow_runs.cancel(run.id)
            except RunRefusedError as error:
                self._faults.tell("cancelling", str(error))
        self._known = there

    def _delete_expired(self, ended: Iterable[Ended]) -> None:
        now = datetime.now(UTC)
        for one in self._in_time(ended):
            ttl_seconds = self._ttl_seconds if one.ttl_seconds is None else one.ttl_seconds
            if ttl_seconds is not None and (now - one.finished_at).total_seconds() >= ttl_seconds:
                with self._alone(one):
                    self._objects.delete(one)

    def _observe(self, ended: Iterable[Ended]) -> None:
        """What may change in an object whose run has ended is its time to live."""
        for one in self._in_time(ended):
            with self._alone(one):
                held = self._objects.read(one)
                if held is not None:
                    self._update(held, held.status.model_copy(update={"observed_generation": held.generation}))

    def _follow(self, flow_runs: FlowRuns, under_way: Mapping[str, Run], unfinished: Sequence[Held]) -> None:
        ended = [
            one.status.flow_run_id
            for one in unfinished
            if one.status.flow_run_id is not None and one.reference.uid not in under_way
        ]
        runs = flow_runs.by_id(ended)
        known = [run.id for run in (*under_way.values(), *runs.values())]
        outcomes = flow_runs.outcomes(known) if unfinished else {}
        troubles = self._objects.troubles() if unfinished else {}
        for one in self._in_time(unfinished):
            run = under_way.get(one.reference.uid) or runs.get(one.status.flow_run_id or "")
            with self._alone(one):
                self._update(one, self._status(flow_runs, one, run, outcomes, troubles))

    def _in_time(self, objects: Iterable[Any]) -> Iterator[Any]:
        return takewhile(lambda _: time.monotonic() < self._until, objects)

    @contextmanager
    def _alone(self, one: Held | Ended) -> Iterator[None]:
        """What goes wrong with one object holds up no other."""
        try:
            yield
        except ClusterRefusalError as error:
            self._faults.tell("refusal", str(error))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            what = f"{one.kind.kind} {one.name}"
            self._faults.tell("object", f"{what} is passed over: {error!r}", with_traceback=True)

    def _status(
        self,
        flow_runs: FlowRuns,
        one: Held,
        run: Run | None,
        outcomes: Mapping[str, Outcome],
        troubles: Mapping[str, Trouble],
    ) -> Status:
        now = datetime.now(UTC)
        if run is not None and not _is_of(run, one):  # someone wrote the id of another run there
            run, one = None, replace(one, status=one.status.model_copy(update={"flow_run_id": None}))
        try:
            run = run or self._started(flow_runs, one)
        except ObjectError as error:
            return unable(one.status, one.generation, error.reason, str(error), now, final=error.final)
        outcome = outcomes.get(run.id)
        if outcome is None and run.ended:  # whoever started it did not live to write that down
            outcome = flow_runs.outcomes([run.id]).get(run.id)
        trouble = troubles.get(run.id) or (_of_cells(flow_runs, run, troubles, now) if one.kind.has_cells else None)
        return of_run(one.status, one.generation, run, self._run_url(run.id), trouble, outcome, now)

    def _started(self, flow_runs: FlowRuns, one: Held) -> Run:
        """The run of an object that has none among those that are known.

        Raises:
            ObjectError: it can't be started.
        """
        if one.status.flow_run_id is not None:
            raise FlowRunGoneError(
                f"Flow run {one.status.flow_run_id} is not on the Prefect server any more; create a new object."
            )
        if one.spec is None:
            raise InvalidSpecError(one.fault)
        self._maximum.check(one.spec.resources)
        return flow_runs.start(one.spec, one.reference.name, one.reference.uid)

    def _update(self, one: Held, status: Status) -> None:
        if status == one.status or not self._objects.write_status(one, status):
            return
        for reason, message in _news(one.status, status):
            bad = reason != "Running" and _is_bad(status)
            self._post_event(one.reference, reason, message or reason, bad)

    def _say_of_all(self, reason: str, message: str) -> None:
        """The server is away: say so where something is waited for, once, whatever words it finds next time."""
        now = datetime.now(UTC)
        try:
            waiting = [one for one in self._seen() if isinstance(one, Held) and _reason(one.status) != reason]
            for one in self._in_time(waiting):
                with self._alone(one):
                    self._update(one, unable(one.status, one.generation, reason, message, now, final=False))
        except ClusterError as error:
            self._faults.tell("Kubernetes", str(error))


def _rank(one: Held) -> int:
    """What has no run yet shall not wait for the news of the others, and nothing for what was refused before."""
    if one.status.flow_run_id is not None:
        return 1
    return 2 if _reason(one.status) == RunRefusedError.reason else 0


def _reason(status: Status) -> str:
    return next((one.reason for one in status.conditions), "")


def _is_of(run: Run, one: Held) -> bool:
    return run.uid in {"", one.reference.uid}


def _of_cells(flow_runs: FlowRuns, run: Run, troubles: Mapping[str, Trouble], now: datetime) -> Trouble | None:
    """What a sweep's run tells of its cells' pods: of all at its end, before that only what is new."""
    cells = [cell for cell in flow_runs.children(run.id, [*troubles]) if run.ended or _is_recent(cell, now)]
    return of_cells({cell.id: troubles[cell.id] for cell in cells})


def _reopened(flow_runs: FlowRuns, under_way: Mapping[str, Run], ended: Sequence[Ended]) -> set[str]:
    """Uids of objects whose runs had ended and are elsewhere by now.

    Someone retries them; or a pod that was taken for dead had only lost its network, and ends its run well. The runs
    are read once more: one that is listed as under way may have ended before the objects were read.
    """
    now = datetime.now(UTC)
    asked = [
        (one.flow_run_id or under_way[one.uid].id, one)
        for one in ended
        if one.uid in under_way or _may_come_back(one, now)
    ]
    runs = flow_runs.by_id([run_id for run_id, _ in asked])
    return {
        one.uid
        for run_id, one in asked
        if (run := runs.get(run_id)) is not None and run.uid in {"", one.uid} and run.phase != one.phase
    }


def _may_come_back(one: Ended, now: datetime) -> bool:
    if one.phase != "Failed" or one.flow_run_id is None:
        return False
    return (now - one.finished_at).total_seconds() < COMES_BACK_SECONDS


def _is_new(run: Run, now: datetime) -> bool:
    """Whether another operator may have started it for an object that this one has yet to see."""
    return run.created_at is not None and (now - run.created_at).total_seconds() < NEW_SECONDS


def _is_recent(cell: Run, now: datetime) -> bool:
    """Whether a cell's pod is news: it lies about for a day, its work done again long ago."""
    return cell.ended_at is None or (now - cell.ended_at).total_seconds() < RECENT_SECONDS


def _news(before: Status, after: Status) -> Iterator[tuple[str, str]]:
    """Reason and message of what changed. A quick run has begun and ended between two looks."""
    old, new = (next(iter(each.conditions), None) for each in (before, after))
    if before.started_at is None and after.started_at is not None and after.finished:
        yield "Running", ""
    if new is not None and (old is None or old.reason != new.reason):
        yield new.reason, new.message
    elif new is not None and before.phase != after.phase:
        yield after.phase, new.message


def _is_bad(status: Status) -> bool:
    return status.phase == "Failed" or any(one.reason in _BAD for one in status.conditions)


_UNAVAILABLE = "PrefectUnavailable"
_BAD = {_UNAVAILABLE, ObjectError.reason, RunRefusedError.reason, *TROUBLES}


def _count(seen: Iterable[Held | Ended]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {(kind.kind, phase): 0 for kind in KINDS for phase in get_args(Phase)}
    for one in seen:
        found[one.kind.kind, one.phase if isinstance(one, Ended) else one.status.phase] += 1
    return found
