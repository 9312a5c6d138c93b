"""Counts attempts of flow runs: events in, counts out, in whatever order and however often events come.

An attempt (run id and run count) is counted once, by its first final state. A crash waits 15 s, as it may turn out not
to be one: a final state that replaces it within that time is counted instead. What replaces a final state later is a
correction, and changes nothing counted. Only times of events decide, so a restart that reads events again comes to the
same counts. `settle` counts what has had its time; an event that comes more than 2 s late may find that done.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar
from uuid import UUID

from flows.telemetry.exporter.events import (
    POD_REASONS,
    STATUSES,
    Labels,
    Observation,
    PodFailed,
    PodReason,
    RunEnded,
    RunStarted,
    Status,
)
from flows.telemetry.metrics import DURATION_BUCKETS_SECONDS

CRASH_GRACE = timedelta(seconds=15)
ARRIVAL_DELAY = timedelta(seconds=2)
MAX_UNKNOWN_SERIES = 200
"""Label sets beyond which runs of no known deployment are counted under `other`."""
MAX_SERIES = 1000
MAX_REMEMBERED = 5000
"""Attempts and pods that are remembered, so that they are not counted again; recent ones are whatever their number."""
REMEMBERED_FOR = timedelta(hours=2)
MAX_RECORDS = 20_000
"""Begun attempts, or failed pods, beyond which the oldest is forgotten, recent or not: anybody may post events."""
OTHER = Labels("other", "other", "other")

Key = tuple[UUID, int]
Name = TypeVar("Name", bound=Key | tuple[str, PodReason])
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of one label set. buckets: attempts per bucket of their duration, not cumulative, the last one +Inf."""

    labels: Labels
    runs: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    buckets: tuple[int, ...] = (0,) * (len(DURATION_BUCKETS_SECONDS) + 1)
    duration_ms: int = 0
    last_success: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that is not counted yet. ends: its final states in the order of their times."""

    run: UUID
    attempt: int
    started: datetime | None = None
    ends: tuple[RunEnded, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt that is counted, by status; None where only corrections of it were seen. ends: ids of states."""

    run: UUID
    attempt: int
    status: Status | None
    last: datetime
    ends: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class State:
    """All that is kept on disk. since: what ended before is not counted. position: all before has been read."""

    since: datetime
    position: datetime
    series: tuple[Series, ...] = ()
    corrections: tuple[tuple[Status, Status, int], ...] = ()
    pod_failures: dict[PodReason, int] = field(default_factory=lambda: dict.fromkeys(POD_REASONS, 0))
    collapsed: int = 0
    waiting: tuple[Attempt, ...] = ()
    settled: tuple[Settled, ...] = ()
    pods: tuple[PodFailed, ...] = ()
    version: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012


class Counts:
    """The reducer. It neither reads a clock nor does input or output."""

    def __init__(self, state: State) -> None:
        self.since, self.position = state.since, state.position
        self._series = {one.labels: one for one in state.series}
        self._corrections = {(before, after): number for before, after, number in state.corrections}
        self._pod_failures = dict(state.pod_failures)
        self._collapsed = state.collapsed
        self._waiting: dict[Key, Attempt] = {(one.run, one.attempt): one for one in state.waiting}
        self._settled: dict[Key, Settled] = {(one.run, one.attempt): one for one in state.settled}
        self._pods = {(one.pod, one.reason): one for one in state.pods}

    def state(self) -> State:
        """Everything, as it is now; what happens later does not change it."""
        return State(
            since=self.since,
            position=self.position,
            series=tuple(self._series.values()),
            corrections=tuple((*pair, number) for pair, number in self._corrections.items()),
            pod_failures=dict(self._pod_failures),
            collapsed=self._collapsed,
            waiting=tuple(self._waiting.values()),
            settled=tuple(self._settled.values()),
            pods=tuple(self._pods.values()),
        )

    def ensure(self, labels: Iterable[Labels]) -> None:
        """Let the series of known deployments begin at 0."""
        for one in labels:
            if one not in self._series and len(self._series) < MAX_SERIES:
                self._series[one] = Series(one)

    def succeeded(self, labels: Labels, when: datetime) -> None:
        """Take in a success that was before the counts began."""
        series = self._series.get(labels)
        if series is not None and (series.last_success is None or series.last_success < when):
            self._series[labels] = replace(series, last_success=when)

    def knows(self, run: UUID, attempt: int) -> bool:
        """Whether a final state of the attempt has been seen."""
        waiting = self._waiting.get((run, attempt))
        return (run, attempt) in self._settled or (waiting is not None and waiting.ends != ())

    def has(self, end: RunEnded) -> bool:
        """Whether this very state of the attempt has been observed."""
        key = (end.run, end.attempt)
        settled, waiting = self._settled.get(key), self._waiting.get(key)
        return (settled is not None and end.id in settled.ends) or (
            waiting is not None and any(one.id == end.id for one in waiting.ends)
        )

    def observe(self, seen: Observation) -> None:
        """Take in what an event says; knowing it already changes nothing."""
        match seen:
            case RunStarted():
                self._start(seen)
            case RunEnded() if seen.occurred >= self.since:
                self._end(seen)
            case PodFailed() if seen.occurred >= self.since and (seen.pod, seen.reason) not in self._pods:
                _make_room(self._pods, lambda _: True)
                self._pods[seen.pod, seen.reason] = seen
                self._pod_failures[seen.reason] += 1

    def settle(self, known_until: datetime) -> None:
        """Count the attempts whose time is over, where everything up to known_until has been observed."""
        for attempt in [one for one in self._waiting.values() if one.ends and _due(one) < known_until]:
            self._count(attempt)

    def advance(self, position: datetime) -> None:
        """Note that all events before position have been read, and forget what can't come again."""
        self.position = max(self.position, position)
        recent = self.position - REMEMBERED_FOR
        self._settled = _newest(self._settled, {key: one.last for key, one in self._settled.items()}, recent)
        self._pods = _newest(self._pods, {key: one.occurred for key, one in self._pods.items()}, recent)
        running = {key: one for key, one in self._waiting.items() if not one.ends}
        kept = _newest(running, {key: one.started or recent for key, one in running.items()}, recent)
        self._waiting = {key: one for key, one in self._waiting.items() if one.ends or key in kept}

    def _start(self, seen: RunStarted) -> None:
        key = (seen.run, seen.attempt)
        if key not in self._settled:
            if key not in self._waiting:
                _make_room(self._waiting, lambda one: not one.ends)
            attempt = self._waiting.get(key, Attempt(*key))
            started = seen.occurred if attempt.started is None else min(attempt.started, seen.occurred)
            self._waiting[key] = replace(attempt, started=started)

    def _end(self, seen: RunEnded) -> None:
        key = (seen.run, seen.attempt)
        if key in self._settled:
            self._end_settled(self._settled[key], seen)
            return
        attempt = self._waiting.get(key, Attempt(*key))
        if all(one.id != seen.id for one in attempt.ends):
            ends = sorted((*attempt.ends, seen), key=lambda one: (one.occurred, one.id))
            self._waiting[key] = replace(attempt, ends=tuple(ends))

    def _end_settled(self, known: Settled, seen: RunEnded) -> None:
        if seen.id in known.ends:
            return
        status = known.status
        if seen.corrects is not None:
            self._correct(seen)
        elif status is None:
            status = seen.status
            self._add(seen, None)
        last = max(known.last, seen.occurred)
        self._settled[known.run, known.attempt] = replace(known, status=status, last=last, ends=(*known.ends, seen.id))

    def _count(self, attempt: Attempt) -> None:
        deciding = _deciding(attempt.ends)
        if deciding:
            self._add(deciding[-1], _begun(attempt.started, deciding[-1]))
        for one in attempt.ends:
            if one.corrects is not None and one not in deciding:
                self._correct(one)
        key = (attempt.run, attempt.attempt)
        del self._waiting[key]
        status = deciding[-1].status if deciding else None
        self._settled[key] = Settled(*key, status, attempt.ends[-1].occurred, tuple(one.id for one in attempt.ends))

    def _add(self, end: RunEnded, started: datetime | None) -> None:
        labels = end.labels
        if labels not in self._series and len(self._series) >= MAX_UNKNOWN_SERIES:
            labels = OTHER
            self._collapsed += 1
        series = self._series.get(labels, Series(labels))
        series = replace(series, runs={**series.runs, end.status: series.runs[end.status] + 1})
        if started is not None:
            series = _with_duration(series, end.occurred - started)
        self._series[labels] = series
        if end.status == "success":
            self.succeeded(labels, end.occurred)

    def _correct(self, end: RunEnded) -> None:
        if end.corrects is not None and end.corrects != end.status:
            pair = (end.corrects, end.status)
            self._corrections[pair] = self._corrections.get(pair, 0) + 1
        if end.status == "success":
            self.succeeded(end.labels, end.occurred)


def _deciding(ends: tuple[RunEnded, ...]) -> tuple[RunEnded, ...]:
    """The first final state, and those that replaced it while it was a crash in its time; the last one counts."""
    first = next((one for one in ends if one.corrects is None), None)
    if first is None:
        return ()
    chain = [first]
    for one in ends[ends.index(first) + 1 :]:
        if chain[-1].status == "crashed" == one.corrects and one.occurred - first.occurred <= CRASH_GRACE:
            chain.append(one)
    return tuple(chain)


def _begun(started: datetime | None, end: RunEnded) -> datetime | None:
    """When the attempt began: as its event tells, and not before its run did."""
    return started if started is None or end.begun is None else max(started, end.begun)


def _due(attempt: Attempt) -> datetime:
    """From when on no event can change what the attempt is counted as."""
    deciding = _deciding(attempt.ends)
    if deciding and deciding[-1].status != "crashed":
        return deciding[-1].occurred + ARRIVAL_DELAY
    return (deciding or attempt.ends)[0].occurred + CRASH_GRACE + ARRIVAL_DELAY


def _with_duration(series: Series, duration: timedelta) -> Series:
    milliseconds = max(0, round(duration / timedelta(milliseconds=1)))
    place = bisect_left(DURATION_BUCKETS_SECONDS, milliseconds / 1000)
    buckets = tuple(number + (index == place) for index, number in enumerate(series.buckets))
    return replace(series, buckets=buckets, duration_ms=series.duration_ms + milliseconds)


def _make_room(records: dict[Name, Record], may_go: Callable[[Record], bool]) -> None:
    """Forget the oldest record that may go, where there are as many as there may be."""
    if len(records) >= MAX_RECORDS:
        oldest = next((name for name, record in records.items() if may_go(record)), None)
        if oldest is not None:
            del records[oldest]


def _newest(records: dict[Name, Record], times: dict[Name, datetime], recent: datetime) -> dict[Name, Record]:
    """The newest records, all recent ones among them."""
    if len(records) <= MAX_REMEMBERED:
        return records
    ranked = sorted(records, key=lambda name: times[name], reverse=True)
    kept = {name for place, name in enumerate(ranked) if place < MAX_REMEMBERED or times[name] >= recent}
    return {name: record for name, record in records.items() if name in kept}
