"""Events that Prefect never sends, and answers that are not its own: passed over, counted, said once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import Event
from prefect.events.schemas.events import RelatedResource, Resource
from prefect.exceptions import PrefectHTTPStatusError
from prometheus_client import generate_latest
from pydantic import TypeAdapter

from flows.telemetry.exporter import api
from flows.telemetry.exporter.collector import registry
from flows.telemetry.exporter.events import parse
from flows.telemetry.exporter.service import Exporter
from tests.unit.prefect_stub import FLOW_NAME, Stub, a_run, an_event, an_event_of

NOW = datetime.now(UTC)


def an_exporter(stub: Stub, folder: Path) -> Exporter:
    """An exporter that begins a minute ago."""
    made = Exporter(cast("PrefectClient", stub), folder, 15)
    made.counts.since = made.counts.position = datetime.now(UTC) - timedelta(minutes=1)
    return made


def read(exporter: Exporter) -> bool:
    """One reading; whether it came to its end."""
    return asyncio.run(exporter._asking(exporter._read))


def counted(exporter: Exporter) -> dict[tuple[str, str], int]:
    """(flow, status) -> attempts, once everything has had its time."""
    exporter.counts.settle(datetime.now(UTC) + timedelta(minutes=5))
    return {
        (one.labels.flow_name, status): number
        for one in exporter.counts.state().series
        for status, number in one.runs.items()
        if number
    }


def deep(levels: int) -> object:
    found: object = "COMPLETED"
    for _ in range(levels):
        found = [found]
    return found


def odd(**fields: object) -> Event:
    """An event whose fields Prefect's client would not check."""
    return an_event(str(uuid4())).model_copy(update=fields)


def labelled(**labels: object) -> Event:
    """An event with these labels of its resource, of whatever types."""
    event = an_event(str(uuid4()))
    names = {f"prefect.{name.replace('_', '-', 1)}": value for name, value in labels.items()}
    root = {name: value for name, value in {**event.resource.root, **names}.items() if value is not None}
    return event.model_copy(update={"resource": Resource.model_construct(cast("dict[str, str]", root))})


def related(name: object) -> Event:
    """An event whose flow has this name."""
    flow = {"prefect.resource.id": "prefect.flow.x", "prefect.resource.role": "flow", "prefect.resource.name": name}
    return odd(related=[RelatedResource.model_construct(cast("dict[str, str]", flow))])


ODD = {
    "a run count that is no number": labelled(run_count="x"),
    "a negative run count": labelled(run_count="-1"),
    "a fraction": labelled(run_count="1.5"),
    "not a number": labelled(run_count="nan"),
    "digits of another script": labelled(run_count="\u0661"),
    "an underscore": labelled(run_count="1_0"),
    "an empty run count": labelled(run_count=""),
    "a run count without end": labelled(run_count="9" * 5000),
    "a run count of another type": labelled(run_count=1),
    "no run count": labelled(run_count=None),
    "no state type": labelled(state_type=None),
    "an unknown state type": labelled(state_type="DONE"),
    "a state type of another type": labelled(state_type=["COMPLETED"]),
    "no run": an_event("not-a-uuid"),
    "a run without end": an_event("a" * 1_000_000),
    "no resource": odd(resource=None),
    "a time long ago": odd(occurred=datetime(1, 1, 1, tzinfo=UTC)),
    "a time to come": odd(occurred=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "a time of next week": odd(occurred=NOW + timedelta(days=7)),
    "a time without a zone": odd(occurred=datetime(1, 1, 1, tzinfo=UTC).replace(tzinfo=None)),
    "a time that is text": odd(occurred="2026-01-31"),
    "no time": odd(occurred=None),
    "no payload": odd(payload=None),
    "a state before of another type": odd(payload={"initial_state": "RUNNING"}),
    "a state before that is deep": odd(payload={"initial_state": {"type": deep(5000)}}),
    "a state before that is unknown": odd(payload={"initial_state": {"type": "DONE"}}),
    "an id of another type": odd(id="x"),
    "a name that is no UTF-8": related(name="\ud800"),
    "a name of another type": related(name=5),
    "nothing related": odd(related=None),
    "no name of the event": odd(event=None),
    "a pod without a name": odd(
        event="prefect.kubernetes.pod.failed", resource=Resource({"prefect.resource.id": "prefect.kubernetes.pod."})
    ),
    "a pod whose name is no UTF-8": odd(
        event="prefect.kubernetes.pod.failed",
        resource=Resource.model_construct({"prefect.resource.id": "prefect.kubernetes.pod.\ud800"}),
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_event_is_passed_over_counted_and_said_once(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = a_run()
    stub = Stub([ODD[kind], an_event_of(run), ODD[kind]], [run])
    exporter = an_exporter(stub, tmp_path)
    position = exporter.counts.position
    assert all(read(exporter) for _ in range(3))
    assert exporter.counts.position > position
    assert exporter.own.bad_events == {"malformed": 1, "unconfirmed": 0}
    assert exporter.own.api_errors == 0
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}
    (said,) = [one.getMessage() for one in caplog.records if "passed over" in one.getMessage()]
    assert said.isprintable()
    assert len(said) < 600
    exporter.collector.state = exporter.counts.state()
    text = generate_latest(registry(exporter.collector)).decode()
    assert 'prefect_exporter_bad_events_total{reason="malformed"} 1.0' in text


def test_an_event_of_no_interest_is_not_odd() -> None:
    for name in ("prefect.flow-run.heartbeat", "prefect.deployment.ready", "my.own"):
        assert parse(an_event("x", event=name)) is None
    assert parse(labelled(state_type="PAUSED")) is None


def test_many_odd_events_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exporter = an_exporter(Stub([labelled(run_count="x") for _ in range(50)]), tmp_path)
    assert read(exporter)
    assert exporter.own.bad_events["malformed"] == 50
    assert sum("passed over" in one.getMessage() for one in caplog.records) == 1


FORGED: dict[str, Callable[[], tuple[Stub, Event]]] = {
    "a run that there is not": lambda: (Stub(), an_event(str(uuid4()))),
    "a run that failed": lambda: about(a_run(StateType.FAILED)),
    "a run that is running": lambda: about(a_run(StateType.RUNNING)),
    "a run that has not begun": lambda: about(a_run(StateType.SCHEDULED, run_count=0)),
    "another attempt": lambda: about(a_run(), run_count="2"),
}


def about(run: FlowRun, run_count: str = "1") -> tuple[Stub, Event]:
    """A stub that knows the run, and an event that says that it succeeded."""
    return Stub(runs=[run]), an_event(str(run.id), resource={"prefect.run-count": run_count})


@pytest.mark.parametrize("kind", FORGED)
def test_a_success_that_prefect_does_not_know_does_not_count(kind: str, tmp_path: Path) -> None:
    stub, event = FORGED[kind]()
    stub.events = [event]
    exporter = an_exporter(stub, tmp_path)
    assert all(read(exporter) for _ in range(2))
    assert exporter.own.bad_events == {"malformed": 0, "unconfirmed": 1}
    assert counted(exporter) == {}
    assert all(one.last_success is None for one in exporter.counts.state().series)


def test_a_forged_failure_takes_no_success_away(tmp_path: Path) -> None:
    run = a_run()
    forged = an_event(str(run.id), "FAILED", occurred=datetime.now(UTC) - timedelta(seconds=30))
    exporter = an_exporter(Stub([forged, an_event_of(run)], [run]), tmp_path)
    assert read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}


def test_a_forged_beginning_makes_no_duration(tmp_path: Path) -> None:
    """A run began when Prefect says so, whatever an event says of its attempts."""
    run = a_run()
    assert run.state is not None
    run = run.model_copy(update={"start_time": run.state.timestamp - timedelta(seconds=5)})
    forged = an_event(str(run.id), "RUNNING", occurred=datetime.now(UTC) - timedelta(hours=20))
    exporter = an_exporter(Stub([forged, an_event_of(run)], [run]), tmp_path)
    assert read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}
    assert exporter.counts.state().series[0].duration_ms == 5000


def test_a_success_counts_under_the_names_that_prefect_has(tmp_path: Path) -> None:
    run = a_run()
    exporter = an_exporter(Stub([an_event_of(run), an_event(str(run.id))], [run]), tmp_path)
    assert read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}, "the second one is the same attempt"


def test_a_state_that_was_replaced_is_found_among_the_earlier_ones(tmp_path: Path) -> None:
    run = a_run(run_count=2)
    crash = State[None](type=StateType.CRASHED, id=uuid4())
    first = an_event(str(run.id), "CRASHED", id=crash.id, occurred=crash.timestamp)
    second = an_event_of(run, resource={"prefect.run-count": "2"})
    exporter = an_exporter(Stub([first, second], [run], {run.id: [crash]}), tmp_path)
    assert read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "crashed"): 1, (FLOW_NAME, "success"): 1}


def test_an_event_of_the_stream_waits_for_the_run_s_state(tmp_path: Path) -> None:
    """The stream may tell of a state that the transaction has not written yet."""
    run = a_run()
    stub = Stub()
    exporter = an_exporter(stub, tmp_path)
    exporter._intake.take(an_event_of(run), "stream", exporter.counts)
    assert asyncio.run(exporter._asking(exporter._confirm))
    assert exporter.own.bad_events["unconfirmed"] == 0
    stub.runs = [run]
    assert asyncio.run(exporter._asking(exporter._confirm))
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}


def test_confirming_many_ends_asks_for_many_at_once(tmp_path: Path) -> None:
    runs = [a_run() for _ in range(150)]
    stub = Stub([an_event_of(run) for run in runs] + [an_event(str(uuid4())) for _ in range(150)], runs)
    exporter = an_exporter(stub, tmp_path)
    assert read(exporter)
    for _ in range(3):
        assert asyncio.run(exporter._asking(exporter._confirm))
    assert counted(exporter) == {(FLOW_NAME, "success"): 150}
    assert exporter.own.bad_events["unconfirmed"] == 150
    assert stub.asked <= 5


def test_histories_that_the_api_does_not_give_hold_up_nothing(tmp_path: Path) -> None:
    lost, run = a_run(StateType.RUNNING), a_run()

    class Broken(Stub):
        async def read_flow_run_states(self, run: object) -> list[State[None]]:
            raise KeyError("no such field")

    exporter = an_exporter(Broken([an_event(str(lost.id)), an_event_of(run)], [lost, run]), tmp_path)
    assert read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}


def test_a_moment_whose_answer_can_t_be_read_is_passed_over(tmp_path: Path) -> None:
    run = a_run()
    bad = datetime.now(UTC) - timedelta(seconds=40)

    def spoils(since: datetime, until: datetime) -> None:
        if since <= bad <= until:
            raise RecursionError("too deep")

    stub = Stub([an_event_of(run)], [run], spoils=spoils)
    exporter = an_exporter(stub, tmp_path)
    assert read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}
    assert exporter.own.bad_events["malformed"] >= 1


def http_fault(status: int) -> PrefectHTTPStatusError:
    request = httpx.Request("POST", "http://prefect/api/events/filter")
    response = httpx.Response(status, request=request, text="<html>")
    return PrefectHTTPStatusError("no", request=request, response=response)


FAULTS: dict[str, Exception] = {
    "a page of HTML": json.JSONDecodeError("Expecting value", "<html>", 0),
    "a number": TypeError("'int' object is not iterable"),
    "another object": KeyError("events"),
    "nothing": AttributeError("'NoneType' object has no attribute 'events'"),
    "500": http_fault(500),
    "404": http_fault(404),
    "no address": httpx.InvalidURL("no"),
    "no look-up": httpx.ConnectError("[Errno -3] Temporary failure in name resolution"),
    "anything": Exception("Unable to authenticate"),
    "many lines": ValueError("\x1b[2J\n" * 10_000),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_an_odd_answer_is_said_and_asked_for_again(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = a_run()

    def spoils(_since: datetime, _until: datetime) -> None:
        raise FAULTS[kind]

    stub = Stub([an_event_of(run)], [run], spoils=spoils)
    exporter = an_exporter(stub, tmp_path)
    assert not read(exporter)
    assert exporter.own.api_errors == 1
    (said,) = [one.getMessage() for one in caplog.records if "Prefect's API" in one.getMessage()]
    assert said.isprintable()
    assert len(said) < 400
    stub.spoils = lambda _since, _until: None
    assert read(exporter)
    assert exporter.own.last_read is not None
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}


def test_runs_that_ended_count_while_no_event_can_be_read(tmp_path: Path) -> None:
    ended = a_run()
    assert ended.state is not None
    ended.state.timestamp = datetime.now(UTC) - timedelta(seconds=40)

    class Ended(Stub):
        async def read_flow_runs(self, **_: object) -> list[object]:  # type: ignore[override]
            return [ended]

        async def read_events(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise ValueError("no JSON")

    exporter = an_exporter(Ended(), tmp_path)
    assert not read(exporter)
    assert counted(exporter) == {(FLOW_NAME, "success"): 1}


def test_an_answer_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANSWER_WITHIN_SECONDS", 0.01)

    class Dripping(Stub):
        async def read_events(self, *_: object, **__: object) -> object:  # type: ignore[override]
            return await asyncio.Event().wait()

    exporter = an_exporter(Dripping(), tmp_path)
    assert not read(exporter)
    assert exporter.own.api_errors == 1


def test_what_the_stream_s_client_can_t_read_is_passed_over(tmp_path: Path) -> None:
    run = a_run()
    exporter = an_exporter(Stub(runs=[run]), tmp_path)
    messages: list[Event | Exception] = [
        json.JSONDecodeError("Expecting value", "\xff", 0),
        KeyError("event"),
        an_event_of(run),
        OverflowError("date value out of range"),
    ]

    class Stream:
        """As Prefect's subscriber, which goes on after an exception."""

        def __aiter__(self) -> AsyncIterator[Event]:
            return self

        async def __anext__(self) -> Event:
            if not messages:
                raise StopAsyncIteration
            first = messages.pop(0)
            if isinstance(first, Exception):
                raise first
            return first

    async def follow() -> list[Event]:
        return [event async for event in exporter._intake.readable(Stream())]

    assert len(asyncio.run(follow())) == 1
    assert exporter.own.bad_events["malformed"] == 3


def test_a_stream_of_nothing_but_garbage_is_opened_anew(tmp_path: Path) -> None:
    exporter = an_exporter(Stub(), tmp_path)

    class Garbage:
        def __aiter__(self) -> AsyncIterator[Event]:
            return self

        async def __anext__(self) -> Event:
            return TypeAdapter(Event).validate_python({})

    async def follow() -> None:
        async for _ in exporter._intake.readable(Garbage()):
            pytest.fail("an event")

    with pytest.raises(ValueError, match="resource"):
        asyncio.run(follow())


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
