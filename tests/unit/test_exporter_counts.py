"""Counts of attempts: once each, whatever the order, the number of deliveries and the restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.errors import ExporterError
from flows.telemetry.exporter import counts as module
from flows.telemetry.exporter.counts import ARRIVAL_DELAY, CRASH_GRACE, OTHER, Counts, State
from flows.telemetry.exporter.events import STATUSES, Labels, Observation, PodFailed, RunEnded, RunStarted, Status
from flows.telemetry.exporter.state import FILE_NAME, load, save
from flows.telemetry.metrics import DURATION_BUCKETS_SECONDS

START = datetime(2026, 1, 31, 2, tzinfo=UTC)
FOREVER = START + timedelta(days=400)
NIGHTLY = Labels("daily_adapter_comparison_flow", "default", "parallel")
AD_HOC = Labels("rush_hours")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ended(
    number: int, run: int, seconds: float, status: Status, corrects: Status | None = None, labels: Labels = NIGHTLY
) -> RunEnded:
    return RunEnded(UUID(int=number), UUID(int=run), 1, at(seconds), status, corrects, labels)


def new_counts() -> Counts:
    return Counts(State(since=START, position=START))


def counted(counts: Counts, labels: Labels = NIGHTLY) -> dict[Status, int]:
    found = [one.runs for one in counts.state().series if one.labels == labels]
    return {status: number for status, number in found[0].items() if number} if found else {}


def numbers(counts: Counts) -> tuple[object, ...]:
    """All that is shown of the counts, in no order."""
    state = counts.state()
    return set_of(state.series), set(state.corrections), state.pod_failures, state.collapsed


def set_of(series: Iterable[module.Series]) -> set[tuple[object, ...]]:
    return {(one.labels, tuple(one.runs.items()), one.buckets, one.duration_ms, one.last_success) for one in series}


def test_an_attempt_counts_once_with_its_duration() -> None:
    counts = new_counts()
    for _ in range(3):
        counts.observe(RunStarted(UUID(int=1), 1, at(0)))
        counts.observe(ended(1, 1, 42, "success"))
        counts.settle(at(60))
    (series,) = counts.state().series
    assert series.runs == {"success": 1, "failed": 0, "crashed": 0, "cancelled": 0}
    assert series.duration_ms == 42_000
    assert series.buckets[DURATION_BUCKETS_SECONDS.index(60)] == sum(series.buckets) == 1
    assert series.last_success == at(42)


def test_each_attempt_of_a_run_counts() -> None:
    counts = new_counts()
    counts.observe(ended(1, 1, 10, "crashed"))
    counts.observe(replace(ended(2, 1, 60, "success"), attempt=2))
    counts.settle(at(120))
    assert counted(counts) == {"success": 1, "crashed": 1}


def test_a_run_that_never_ran_has_no_duration() -> None:
    counts = new_counts()
    counts.observe(ended(1, 1, 10, "cancelled"))
    counts.settle(at(60))
    (series,) = counts.state().series
    assert (series.runs["cancelled"], sum(series.buckets)) == (1, 0)


def test_a_crash_waits_for_its_correction() -> None:
    counts = new_counts()
    counts.observe(ended(1, 1, 0, "crashed"))
    counts.settle(at(14))
    assert counted(counts) == {}
    counts.observe(ended(2, 1, 15, "success", corrects="crashed"))
    counts.settle(at(40))
    assert counted(counts) == {"success": 1}
    assert counts.state().corrections == ()


def test_a_later_correction_is_told_and_changes_nothing_counted() -> None:
    counts = new_counts()
    counts.observe(ended(1, 1, 0, "crashed"))
    counts.settle(at(17.1))
    assert counted(counts) == {"crashed": 1}
    late = ended(2, 1, 15.1, "success", corrects="crashed")
    counts.observe(late)
    counts.observe(late)
    counts.settle(at(60))
    assert counted(counts) == {"crashed": 1}
    assert counts.state().corrections == (("crashed", "success", 1),)
    assert counts.state().series[0].last_success == at(15.1)


def test_what_ended_before_the_counts_began_is_not_counted_but_its_correction_is_told() -> None:
    counts = new_counts()
    counts.observe(ended(1, 1, -1, "success"))
    counts.observe(ended(2, 1, 5, "crashed", corrects="success"))
    counts.settle(FOREVER)
    assert counted(counts) == {}
    assert counts.state().corrections == (("success", "crashed", 1),)


def test_a_pod_counts_once_per_reason() -> None:
    counts = new_counts()
    for reason in ("Unschedulable", "Unschedulable", "ImagePullError"):
        counts.observe(PodFailed("a", reason, at(1)))
    counts.observe(PodFailed("b", "Unschedulable", at(1)))
    failures = {reason: number for reason, number in counts.state().pod_failures.items() if number}
    assert failures == {"Unschedulable": 2, "ImagePullError": 1}


def test_known_deployments_begin_at_zero() -> None:
    counts = new_counts()
    counts.ensure([NIGHTLY])
    (series,) = counts.state().series
    assert set(series.runs.values()) == {0}


def test_label_sets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNKNOWN_SERIES", 3)
    counts = new_counts()
    counts.ensure([NIGHTLY])
    for number in range(10):
        counts.observe(ended(number, number, 1, "failed", labels=Labels(f"flow-{number}")))
    counts.observe(ended(99, 99, 1, "failed"))
    counts.settle(FOREVER)
    assert len(counts.state().series) == 4
    assert counted(counts, OTHER) == {"failed": 8}
    assert counts.state().collapsed == 8
    assert counted(counts) == {"failed": 1}, "a known deployment keeps its own series"


def test_memory_is_bounded_and_forgets_no_attempt_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    counts = new_counts()
    day = 24 * 3600
    for number in range(50):
        counts.observe(ended(number, number, number, "failed"))
        counts.observe(PodFailed(str(number), "Evicted", at(number)))
        counts.observe(RunStarted(UUID(int=1000 + number), 1, at(number)))
    counts.advance(at(day))
    assert sum(attempt.ends != () for attempt in counts.state().waiting) == 50
    counts.settle(at(day))
    counts.advance(at(day))
    state = counts.state()
    assert counted(counts) == {"failed": 50}
    assert [len(kept) for kept in (state.waiting, state.settled, state.pods)] == [10, 10, 10]
    assert {attempt.run.int for attempt in state.settled} == set(range(40, 50))


def test_memory_is_bounded_whatever_is_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDS", 10)
    counts = new_counts()
    counts.observe(ended(1, 1, 0, "failed"))
    for number in range(100):
        counts.observe(RunStarted(UUID(int=1000 + number), 1, at(0)))
        counts.observe(PodFailed(str(number), "Evicted", at(0)))
    state = counts.state()
    assert (len(state.waiting), len(state.pods)) == (10, 10)
    assert state.waiting[0].run == UUID(int=1), "an end is not forgotten"
    assert state.waiting[-1].run == UUID(int=1099), "the newest is kept"


statuses: st.SearchStrategy[Status] = st.sampled_from(STATUSES)


@st.composite
def histories(draw: st.DrawFn) -> list[Observation]:
    """What Prefect would send of a few runs, in the order in which it happens."""
    events: list[Observation] = []
    number = 0
    for run in range(draw(st.integers(1, 4))):
        seconds = draw(st.integers(0, 30))
        labels = draw(st.sampled_from([NIGHTLY, AD_HOC]))
        for attempt in range(draw(st.integers(1, 2))):
            if draw(st.booleans()):
                events.append(RunStarted(UUID(int=run), attempt, at(seconds)))
            before: Status | None = None
            for _ in range(draw(st.integers(0, 3))):
                seconds += draw(st.sampled_from([1, 3, 14, 15, 16, 40]))
                number += 1
                status: Status = draw(statuses)
                end = ended(number, run, seconds, status, before, labels)
                events.append(replace(end, attempt=attempt))
                before = status
            seconds += 1
    pods = st.builds(PodFailed, st.sampled_from("ab"), st.sampled_from(["OOMKilled", "Other"]), st.just(at(7)))
    events += draw(st.lists(pods, max_size=3))
    return sorted(events, key=lambda one: one.occurred)


def told_at_once(history: list[Observation]) -> tuple[object, ...]:
    counts = new_counts()
    for event in history:
        counts.observe(event)
    counts.settle(FOREVER)
    return numbers(counts)


@given(histories(), st.data())
def test_any_order_and_any_repetition_give_the_same_counts(history: list[Observation], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(history), max_size=10)) if history else []
    counts = new_counts()
    for event in data.draw(st.permutations(history + again)):
        counts.observe(event)
    counts.settle(FOREVER)
    for event in again:
        counts.observe(event)
    counts.settle(FOREVER)
    assert numbers(counts) == told_at_once(history)


@given(histories(), st.data())
def test_events_that_come_within_their_time_count_as_if_told_at_once(
    history: list[Observation], data: st.DataObject
) -> None:
    delay = st.floats(0, ARRIVAL_DELAY.total_seconds())
    arrivals = sorted(
        ((event.occurred + timedelta(seconds=data.draw(delay)), place, event) for place, event in enumerate(history)),
        key=lambda one: one[:2],
    )
    counts = new_counts()
    for arrived, _, event in arrivals:
        counts.settle(arrived)
        counts.observe(event)
    counts.settle(FOREVER)
    assert numbers(counts) == told_at_once(history)


@given(histories(), st.data())
def test_a_restart_at_any_point_gives_the_same_counts(history: list[Observation], data: st.DataObject) -> None:
    """The state is written and read back, and what came after the last position is read again."""
    cut = data.draw(st.integers(0, len(history)))
    counts = new_counts()
    for event in history[:cut]:
        counts.settle(event.occurred)
        counts.observe(event)
    counts = Counts(from_disk(counts.state()))
    for event in history[data.draw(st.integers(0, cut)) :]:
        counts.settle(min(event.occurred, history[cut - 1].occurred) if cut else event.occurred)
        counts.observe(event)
    counts.settle(FOREVER)
    assert numbers(counts) == told_at_once(history)


@given(histories(), st.data())
def test_each_attempt_counts_exactly_once_however_late_its_events(
    history: list[Observation], data: st.DataObject
) -> None:
    counts = new_counts()
    for event in data.draw(st.permutations(history)):
        counts.observe(event)
        counts.settle(at(data.draw(st.integers(0, 500))))
    counts.settle(FOREVER)
    attempts = {(one.run, one.attempt) for one in history if isinstance(one, RunEnded)}
    total = sum((Counter(one.runs) for one in counts.state().series), Counter[Status]())
    assert total.total() == len(attempts)


def from_disk(state: State) -> State:
    from flows.telemetry.exporter.state import _STATE

    return _STATE.validate_json(_STATE.dump_json(state))


def test_counts_survive_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    assert load(folder) is None
    counts = new_counts()
    counts.observe(ended(1, 1, 1, "failed"))
    counts.observe(ended(2, 2, 1, "crashed"))
    counts.observe(PodFailed("a", "OOMKilled", at(1)))
    counts.settle(at(5))
    save(folder, counts.state())
    assert load(folder) == counts.state()
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_a_folder_that_can_t_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExporterError, match="--state-dir"):
        load(tmp_path / "file")


def test_the_grace_is_what_the_documents_say() -> None:
    assert timedelta(seconds=15) == CRASH_GRACE
