"""Brings every object to its end: each turn compares all objects with all flow runs, and does what is missing.

Nothing is remembered from one turn to the next but what the objects' status says, so that a turn may be cut off at any
point, be missed, or be taken by two operators at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from flows.errors import ClusterError, ObjectError, PrefectApiError, RunRefusedError
from flows.operator.kube import Reference
from flows.operator.objects.kube import Held, Objects
from flows.operator.objects.runs import FlowRuns
from flows.operator.objects.status import TROUBLES, Run, Status, Trouble, of_cells, of_run, unable
from flows.outcome import Outcome

EVERY_SECONDS = 5.0

_log = logging.getLogger("flows.operator")


class Controller:
    """Starts, follows and cancels the flow runs of objects.

    Args:
        objects: of the cluster.
        flow_runs: opens the Prefect server.
        post_event: says something in `kubectl describe` of an object: its reason, its message, and whether it is bad.
        run_url: page of a flow run in Prefect's UI, by its id.
    """

    def __init__(
        self,
        objects: Objects,
        flow_runs: Callable[[], AbstractContextManager[FlowRuns]],
        post_event: Callable[[Reference, str, str, bool], None],
        run_url: Callable[[str], str],
    ) -> None:
        self._objects, self._flow_runs, self._post_event, self._run_url = objects, flow_runs, post_event, run_url
        self.count: Mapping[tuple[str, ...], float] = {}

    def turn(self) -> None:
        """Take one turn. What does not answer is said in the log and in the objects, and asked again next time."""
        try:
            self._turn()
        except PrefectApiError as error:
            self._say_of_all("PrefectUnavailable", str(error))
        except ClusterError as error:
            _log.warning("%s", error)

    def _turn(self) -> None:
        with self._flow_runs() as flow_runs:
            # Runs first: a run that another operator starts after this has its object among those that are read next.
            under_way = flow_runs.under_way()
            held = self._objects.all()
            self._cancel_orphans(flow_runs, under_way, held)
            again = _retried(flow_runs, under_way, held)
            finished = [one for one in held if one.status.finished and one.reference.uid not in again]
            self._delete_expired(finished)
            self._observe(finished)
            unfinished = [one for one in held if not one.status.finished or one.reference.uid in again]
            # What has no run yet comes first: it shall not wait for the news of the others.
            self._follow(flow_runs, under_way, sorted(unfinished, key=lambda one: one.status.flow_run_id is not None))
        self.count = _count(held)

    def _cancel_orphans(self, flow_runs: FlowRuns, under_way: Mapping[str, Run], held: Sequence[Held]) -> None:
        there = {one.reference.uid for one in held}
        for uid, run in under_way.items():
            if uid not in there and run.state != "cancelling":
                _log.info("cancelling flow run %s: its object is gone", run.id)
                flow_runs.cancel(run.id)

    def _delete_expired(self, finished: Sequence[Held]) -> None:
        now = datetime.now(UTC)
        for one in finished:
            ttl_seconds = None if one.spec is None else one.spec.ttl_seconds_after_finished
            ended = one.status.finished_at
            if ttl_seconds is None or ended is None:
                continue
            if (now - datetime.fromisoformat(ended)).total_seconds() >= ttl_seconds:
                self._objects.delete(one)

    def _observe(self, finished: Sequence[Held]) -> None:
        """What may change in a finished object is its time to live."""
        for one in finished:
            self._update(one, one.status.model_copy(update={"observed_generation": one.generation}))

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
        for one in unfinished:
            run = under_way.get(one.reference.uid) or runs.get(one.status.flow_run_id or "")
            self._update(one, self._status(flow_runs, one, run, outcomes, troubles))

    def _status(
        self,
        flow_runs: FlowRuns,
        one: Held,
        run: Run | None,
        outcomes: Mapping[str, Outcome],
        troubles: Mapping[str, Trouble],
    ) -> Status:
        now = datetime.now(UTC)
        if run is None and one.status.flow_run_id is not None:
            gone = f"Flow run {one.status.flow_run_id} is not on the Prefect server any more; create a new object."
            return unable(one.status, one.generation, "FlowRunGone", gone, now, final=True)
        if run is None:
            if one.spec is None:
                return unable(one.status, one.generation, "InvalidSpec", one.fault, now, final=True)
            try:
                run = flow_runs.start(one.spec, one.reference.name, one.reference.uid)
            except ObjectError as error:
                return unable(one.status, one.generation, error.reason, str(error), now, final=False)
        trouble = troubles.get(run.id)
        if trouble is None and one.kind.has_cells:
            trouble = of_cells({cell: troubles[cell] for cell in flow_runs.children(run.id, [*troubles])})
        outcome = outcomes.get(run.id)
        return of_run(one.status, one.generation, run, self._run_url(run.id), trouble, outcome, now)

    def _update(self, one: Held, status: Status) -> None:
        if status == one.status:
            return
        if not self._objects.write_status(one, status):
            return
        for reason, message in _news(one.status, status):
            bad = reason != "Running" and _is_bad(status)
            self._post_event(one.reference, reason, message or reason, bad)

    def _say_of_all(self, reason: str, message: str) -> None:
        """The server is away: say so where something is waited for."""
        _log.warning("%s", message)
        now = datetime.now(UTC)
        try:
            for one in self._objects.all():
                if not one.status.finished:
                    self._update(one, unable(one.status, one.generation, reason, message, now, final=False))
        except ClusterError as error:
            _log.warning("%s", error)


def _retried(flow_runs: FlowRuns, under_way: Mapping[str, Run], held: Sequence[Held]) -> set[str]:
    """Uids of finished objects whose runs go on: someone retries them, or Prefect starts them again.

    The runs are read once more: one that is listed as under way may have ended before the objects were read.
    """
    finished = [one for one in held if one.status.finished and one.reference.uid in under_way]
    runs = flow_runs.by_id([under_way[one.reference.uid].id for one in finished])
    still = {run.id for run in runs.values() if not run.ended}
    return {one.reference.uid for one in finished if under_way[one.reference.uid].id in still}


def _news(before: Status, after: Status) -> Iterator[tuple[str, str]]:
    """Reason and message of what changed. A quick run has begun and ended between two looks."""
    old, new = (next(iter(each.conditions), None) for each in (before, after))
    if before.started_at is None and after.started_at is not None and after.finished:
        yield "Running", ""
    if new is not None and (old is None or old.reason != new.reason):
        yield new.reason, new.message


def _is_bad(status: Status) -> bool:
    return status.phase == "Failed" or any(one.reason in _BAD for one in status.conditions)


_BAD = {"PrefectUnavailable", ObjectError.reason, RunRefusedError.reason, *TROUBLES}


def _count(held: Sequence[Held]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for one in held:
        name = (one.kind.kind, one.status.phase)
        found[name] = found.get(name, 0) + 1
    return found
