"""The counts on disk: one file, written whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flows.core.atomic import replacing
from flows.core.errors import ExporterError, ExporterStateError
from flows.telemetry.exporter.counts import Attempt, Series, State
from flows.telemetry.exporter.events import LONGEST_LABEL, POD_REASONS, STATUSES
from flows.telemetry.metrics import DURATION_BUCKETS_SECONDS

FILE_NAME = "counts.json"
REFUSED_SUFFIX = ".refused"

EVENTS_KEPT = timedelta(days=7)
"""How long Prefect's server keeps events, unless it is told otherwise."""
CLOCKS_DIFFER = timedelta(minutes=5)
LARGEST_COUNT = 2**53
"""A count beyond is none that a float, so Prometheus, can hold."""
_LARGEST_FILE_BYTES = 256 << 20

_STATE = TypeAdapter(State)
_log = logging.getLogger("flows.telemetry.exporter")


def load_or_rebuild(folder: Path, now: datetime) -> tuple[State | None, datetime]:
    """The counts of last time, and from when on to count where there are none.

    Counts that can't be right are set aside; new ones are then made of the events that the server still keeps.

    Raises:
        ExporterError: the folder can't be used.
    """
    try:
        return load(folder, now), now
    except ExporterStateError as error:
        path = folder / FILE_NAME
        try:
            path.replace(path.with_name(path.name + REFUSED_SUFFIX))
        except OSError as fault:
            raise ExporterError(f"{path} can't be set aside: {fault.strerror}. Move it away.") from fault
        _log.warning(
            "%s It was set aside as %s; counting what the events of the last %d days tell.",
            error, path.name + REFUSED_SUFFIX, EVENTS_KEPT.days,
        )  # fmt: skip
        return None, now - EVENTS_KEPT


def load(folder: Path, now: datetime | None = None) -> State | None:
    """The counts of last time; None where there are none.

    Raises:
        ExporterError: the folder can't be used.
        ExporterStateError: the file in it is none of ours, or holds what can't be.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ExporterStateError(f"{path} holds no counts: it is larger than {_LARGEST_FILE_BYTES >> 20} MiB.")
        state = _STATE.validate_json(path.read_bytes(), strict=True)
        fault = next(_faults(state, now or datetime.now(UTC)), None)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise ExporterStateError(f"{path} holds no counts: it is a folder.") from error
    except OSError as error:
        raise ExporterError(f"{path}: {error.strerror}. Name a folder that can be written: --state-dir.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise ExporterStateError(f"{path} holds no counts of this version: {where} {first['msg'][:200]}.") from error
    if fault is not None:
        raise ExporterStateError(f"{path} holds counts that can't be: {fault}.")
    return state


def save(folder: Path, state: State) -> None:
    """Put the state in the place of the one before.

    Raises:
        OSError: it could not be written; the one before is still there.
    """
    with replacing(folder / FILE_NAME) as file:
        file.write(_STATE.dump_json(state))


def _faults(state: State, now: datetime) -> Iterator[str]:
    """What can't be: the types are right."""
    for moment in _moments(state):
        if moment.tzinfo is None:
            yield "a time without a zone"
        elif not datetime(2020, 1, 1, tzinfo=UTC) <= moment <= now + CLOCKS_DIFFER:
            yield f"the time {moment}"
    if state.position < state.since:
        yield "a position before the beginning"
    if not all(0 <= number <= LARGEST_COUNT for number in _numbers(state)):
        yield "a number below 0 or beyond 2^53"
    if set(state.pod_failures) != set(POD_REASONS):
        yield "not the reasons of failed pods"
    yield from _faults_of_series(state.series)
    names = [*((one.run, one.attempt) for one in state.waiting), *((one.run, one.attempt) for one in state.settled)]
    if len(set(names)) != len(names):
        yield "an attempt twice"


def _faults_of_series(series: tuple[Series, ...]) -> Iterator[str]:
    for one in series:
        if set(one.runs) != set(STATUSES):
            yield "not the statuses of runs"
        if len(one.buckets) != len(DURATION_BUCKETS_SECONDS) + 1:
            yield "not the buckets of durations"
        if sum(one.buckets) > sum(one.runs.values()):
            yield "more durations than attempts"
        if any(not 0 < len(name) <= LONGEST_LABEL for name in one.labels):
            yield "a name that is empty or too long"
    if len({one.labels for one in series}) != len(series):
        yield "a series twice"


def _moments(state: State) -> Iterator[datetime]:
    yield state.since
    yield state.position
    yield from (one.last_success for one in state.series if one.last_success is not None)
    for attempt in state.waiting:
        yield from _moments_of(attempt)
    yield from (one.last for one in state.settled)
    yield from (one.occurred for one in state.pods)


def _moments_of(attempt: Attempt) -> Iterator[datetime]:
    if attempt.started is not None:
        yield attempt.started
    for end in attempt.ends:
        yield end.occurred
        if end.begun is not None:
            yield end.begun


def _numbers(state: State) -> Iterator[int]:
    for one in state.series:
        yield from one.runs.values()
        yield from one.buckets
        yield one.duration_ms
    yield from (number for _, _, number in state.corrections)
    yield from state.pod_failures.values()
    yield state.collapsed
    yield from (one.attempt for one in state.waiting)
    yield from (one.attempt for one in state.settled)
