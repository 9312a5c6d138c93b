"""Counts on disk that can't be right are refused, and made anew of the events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.client.orchestration import PrefectClient
from prometheus_client import generate_latest
from pydantic import JsonValue

from flows.core.errors import ExporterError, ExporterStateError
from flows.telemetry.exporter.collector import ExporterCollector, Own, registry
from flows.telemetry.exporter.counts import Counts, State
from flows.telemetry.exporter.events import Labels, PodFailed, RunEnded, RunStarted
from flows.telemetry.exporter.service import Exporter
from flows.telemetry.exporter.state import EVENTS_KEPT, FILE_NAME, REFUSED_SUFFIX, load, load_or_rebuild, save
from tests.unit.prefect_stub import FLOW_NAME, Stub, a_run, an_event_of

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
NIGHTLY = Labels("daily_adapter_comparison_flow", "default", "parallel")
Tree = dict[str, JsonValue]


def some_state() -> State:
    """Counts with something of everything."""
    counts = Counts(State(since=NOW - timedelta(days=1), position=NOW))
    counts.observe(RunStarted(UUID(int=1), 1, NOW - timedelta(seconds=90)))
    counts.observe(RunEnded(UUID(int=11), UUID(int=1), 1, NOW - timedelta(seconds=60), "success", None, NIGHTLY))
    counts.settle(NOW)
    counts.observe(RunEnded(UUID(int=12), UUID(int=1), 1, NOW - timedelta(seconds=9), "failed", "success", NIGHTLY))
    counts.observe(RunStarted(UUID(int=2), 1, NOW - timedelta(seconds=30)))
    counts.observe(RunEnded(UUID(int=13), UUID(int=3), 1, NOW, "crashed", None, Labels("rush_hours")))
    counts.observe(PodFailed("a", "OOMKilled", NOW))
    return counts.state()


def tree(folder: Path) -> Tree:
    """The state as JSON."""
    save(folder, some_state())
    found: Tree = json.loads((folder / FILE_NAME).read_bytes())
    return found


def use(state: State) -> bytes:
    """Everything that is done with a state."""
    counts = Counts(state)
    counts.observe(RunEnded(UUID(int=99), UUID(int=9), 1, NOW, "success", None, NIGHTLY))
    counts.settle(NOW + timedelta(minutes=5))
    counts.advance(NOW)
    collector = ExporterCollector(Own())
    collector.state = counts.state()
    return generate_latest(registry(collector))


def series(state: Tree) -> Tree:
    found = state["series"]
    assert isinstance(found, list)
    return cast("Tree", found[0])


def put(*path: str | int, value: JsonValue) -> Callable[[Tree], object]:
    """Sets one value of the tree."""

    def change(state: Tree) -> None:
        found: JsonValue = state
        for key in path[:-1]:
            found = found[key]  # type: ignore[index]
        found[path[-1]] = value  # type: ignore[index]

    return change


WRONG: dict[str, Callable[[Tree], object]] = {
    "a version to come": put("version", value=2),
    "an older version": put("version", value=0),
    "another schema": put("flows", value={}),
    "no beginning": lambda state: state.pop("since"),
    "a number for a time": put("since", value=5),
    "a time without a zone": put("since", value="2026-01-01T00:00:00"),
    "a year of no calendar": put("position", value="0001-01-01T00:00:00Z"),
    "the last of all years": put("position", value="9999-12-31T23:59:59Z"),
    "a position to come": put("position", value="2999-01-01T00:00:00Z"),
    "a position before the beginning": put("position", value="2026-01-01T00:00:00Z"),
    "a success to come": put("series", 0, "last_success", value="2999-01-01T00:00:00Z"),
    "a negative count": put("series", 0, "runs", "success", value=-1),
    "a count that is text": put("series", 0, "runs", "success", value="1"),
    "a count that is a fraction": put("series", 0, "runs", "success", value=1.5),
    "a count that is true": put("series", 0, "runs", "success", value=True),
    "not a number": put("series", 0, "runs", "success", value=float("nan")),
    "an infinity": put("collapsed", value=float("inf")),
    "a count beyond floats": put("series", 0, "runs", "success", value=10**400),
    "a negative time": put("series", 0, "duration_ms", value=-5),
    "no status": lambda state: cast("Tree", series(state)["runs"]).pop("failed"),
    "an unknown status": put("series", 0, "runs", "lost", value=1),
    "too few buckets": put("series", 0, "buckets", value=[0, 1]),
    "a negative bucket": put("series", 0, "buckets", 0, value=-1),
    "more durations than attempts": put("series", 0, "buckets", 0, value=1000),
    "no series": put("series", value=None),
    "a series that is none": put("series", 0, value=[]),
    "labels of another number": put("series", 0, "labels", value=["a", "b", "c", "d"]),
    "an empty name": put("series", 0, "labels", 0, value=""),
    "a name without end": put("series", 0, "labels", 0, value="a" * 100_000),
    "no reason": lambda state: cast("Tree", state["pod_failures"]).pop("Other"),
    "a negative reason": put("pod_failures", "Other", value=-1),
    "a correction of three": put("corrections", 0, value=["success"]),
    "a negative correction": put("corrections", 0, 2, value=-1),
    "a negative attempt": put("settled", 0, "attempt", value=-1),
    "a run that is no UUID": put("settled", 0, "run", value="x"),
    "a pod's time to come": put("pods", 0, "occurred", value="9999-12-31T23:59:59Z"),
    "an end to come": put("waiting", 0, "started", value="9999-12-31T23:59:59Z"),
    "a series twice": lambda state: cast("list[JsonValue]", state["series"]).append(series(state)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_can_t_be_is_refused(kind: str, tmp_path: Path) -> None:
    state = tree(tmp_path)
    WRONG[kind](state)
    (tmp_path / FILE_NAME).write_text(json.dumps(state))
    with pytest.raises(ExporterStateError, match=FILE_NAME) as refused:
        load(tmp_path)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"version": 2}'],
)
def test_what_is_no_state_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ExporterStateError, match=f"{FILE_NAME} holds no counts"):
        load(tmp_path)


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    save(tmp_path, some_state())
    assert load(tmp_path) == some_state()
    assert use(some_state())


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "2026-01-01T00:00:00", "\ud800", 10**30]),
    st.just([]),
    st.just({}),
)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_any_other_value_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    state = tree(tmp_path)
    found: JsonValue = state
    while True:
        keys = list(range(len(found))) if isinstance(found, list) else list(cast("Tree", found))
        key = data.draw(st.sampled_from(keys))
        inner = found[key]  # type: ignore[index, call-overload]
        if not isinstance(inner, list | dict) or not inner or data.draw(st.integers(0, 5)) == 0:
            break
        found = inner
    found[key] = data.draw(VALUES)  # type: ignore[index, call-overload]
    (tmp_path / FILE_NAME).write_text(json.dumps(state))
    try:
        taken = load(tmp_path)
    except ExporterStateError:
        return
    assert taken is not None
    assert use(taken)
    save(tmp_path, taken)


def test_refused_counts_are_set_aside_and_made_anew_of_the_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_text('{"version": 2}')
    run = a_run()
    assert run.state is not None
    run.state.timestamp = datetime.now(UTC) - timedelta(days=5)
    exporter = Exporter(cast("PrefectClient", Stub([an_event_of(run)], [run])), tmp_path, 15)
    assert (tmp_path / f"{FILE_NAME}{REFUSED_SUFFIX}").read_text() == '{"version": 2}'
    assert "set aside" in caplog.text
    assert asyncio.run(exporter._asking(exporter._read))
    exporter.counts.settle(datetime.now(UTC))
    assert [(one.labels.flow_name, one.runs["success"]) for one in exporter.counts.state().series] == [(FLOW_NAME, 1)]


def test_without_counts_they_begin_now(tmp_path: Path) -> None:
    assert load_or_rebuild(tmp_path, NOW) == (None, NOW)
    (tmp_path / FILE_NAME).mkdir()
    assert load_or_rebuild(tmp_path, NOW) == (None, NOW - EVENTS_KEPT)


def test_counts_that_can_t_be_set_aside_are_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{}")
    (tmp_path / f"{FILE_NAME}{REFUSED_SUFFIX}").mkdir()
    with pytest.raises(ExporterError, match=r"set aside.*Move it away"):
        load_or_rebuild(tmp_path, NOW)
