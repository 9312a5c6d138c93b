"""Whatever Prefect's API answers, it is said, and asked again; one odd flow run holds up no other."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.core.errors import PrefectApiError
from flows.operator.kinds import Kind
from flows.operator.prefect.api import post_passed, prefect_api
from flows.operator.prefect.wait import wait_for_prefect_api
from flows.operator.resources.runs import flow_runs
from flows.operator.resources.status import Run
from tests.unit.odd_server import ODD, Answer, Server, as_json, odd_server

ID, OTHER = "6f6a2ad2-9a34-4a49-a3d0-2d6f27b0f0f3", "7f6a2ad2-9a34-4a49-a3d0-2d6f27b0f0f3"
NOT_THERE = Answer(b"{}", 404)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with odd_server() as server:
        server.paths["csrf-token"] = NOT_THERE
        settings = {
            PREFECT_API_URL: f"{server.url}/api",
            PREFECT_CLIENT_MAX_RETRIES: 0,
            PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,  # reading the certificates takes a while
            PREFECT_API_REQUEST_TIMEOUT: 5.0,
        }
        with temporary_settings(settings):
            monkeypatch.setattr(time, "sleep", lambda _: None)
            yield server


@pytest.mark.parametrize("name", sorted({*ODD} - {"list of null"}))
def test_an_odd_answer_is_an_error_of_ours(server: Server, name: str) -> None:
    server.answer = ODD[name]
    with pytest.raises(PrefectApiError), flow_runs("ns") as asked:
        asked.under_way()
    with pytest.raises(PrefectApiError), flow_runs("ns") as asked:
        asked.outcomes([ID])


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", [Kind.WORK_POOL, Kind.AUTOMATION])
def test_an_odd_answer_about_what_is_declared_is_one_too(server: Server, name: str, kind: Kind) -> None:
    server.answer = ODD[name]
    try:
        with prefect_api() as api:
            found = api.read(kind, "name")
    except PrefectApiError:
        return
    assert (found, ODD[name].code) == (None, 404)


@pytest.mark.parametrize("name", ODD)
def test_waiting_for_the_api_ends(server: Server, name: str) -> None:
    server.answer = ODD[name]
    try:
        wait_for_prefect_api(0.0, lambda _: None)
        post_passed()
    except PrefectApiError:
        return
    assert ODD[name].code < 300, "an answer that nobody reads"


@pytest.mark.parametrize("name", ["429", "429 until a date", "503"])
def test_patience_that_the_server_asks_for_is_bounded(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server.answer = ODD[name]
    retried = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 2})
    with retried, pytest.raises(PrefectApiError), flow_runs("ns") as asked:
        asked.under_way()
    assert len(slept) == 3
    assert max(slept) < 15


def run(run_id: str, uid: str, **fields: object) -> dict[str, object]:
    state = {"type": "RUNNING", "name": "Running", "message": None}
    tags = ["kubernetes-object:ns", f"uid:{uid}"]
    return {"id": run_id, "tags": tags, "idempotency_key": uid, "state": state, **fields}


ODD_RUNS: list[object] = [
    None,
    [],
    {},
    {"id": OTHER},
    run("no uuid", "b"),
    run(OTHER, "b", tags=None),
    run(OTHER, "b", tags=[7]),
    run(OTHER, "b", state="RUNNING"),
    run(OTHER, "b", state={"type": None}),
    run(OTHER, "b", start_time="yesterday"),
    run(OTHER, "b", end_time={"a": 1}),
]


@pytest.mark.parametrize("odd", ODD_RUNS, ids=str)
def test_one_odd_flow_run_holds_up_no_other(server: Server, odd: object, caplog: pytest.LogCaptureFixture) -> None:
    server.answer = as_json([odd, run(ID, "a")])
    with flow_runs("ns") as asked:
        assert asked.under_way() == {"a": Run(ID, "running", "Running", "", None, None, "a")}
        assert [*asked.by_id([ID])] == [ID]
    assert len(caplog.messages) == (0 if odd == {"id": OTHER} else 1)


def test_a_state_of_a_later_version_is_taken_as_it_is(server: Server) -> None:
    server.answer = as_json([run(ID, "a", state={"type": "HIBERNATING", "name": None}, new=[1])])
    with flow_runs("ns") as asked:
        found = asked.under_way()["a"]
    assert (found.state, found.name, found.phase) == ("hibernating", "Hibernating", "Pending")


def test_a_copy_of_a_run_is_not_that_of_the_object(server: Server) -> None:
    server.answer = as_json([run(ID, "a"), run(OTHER, "a", idempotency_key="by hand")])
    with flow_runs("ns") as asked:
        assert asked.under_way()["a"].id == ID


def test_a_server_that_repeats_its_page_is_not_asked_for_ever(server: Server) -> None:
    server.answer = as_json([run(f"{ID[:-3]}{number:03}", f"{number}") for number in range(200)])
    with flow_runs("ns") as asked:
        assert len(asked.under_way()) == 200
    assert len([path for path in server.asked if "filter" in path]) == 2


def test_what_was_not_asked_for_is_left_out(server: Server) -> None:
    server.answer = as_json([run(OTHER, "b"), run(ID, "a")])
    with flow_runs("ns") as asked:
        assert [*asked.by_id([ID])] == [ID]


ODD_ARTIFACTS: list[object] = [None, {}, {"id": ID}, {"id": ID, "flow_run_id": OTHER, "data": {"a": []}}]


@pytest.mark.parametrize("odd", ODD_ARTIFACTS, ids=str)
def test_one_odd_artifact_holds_up_no_other(server: Server, odd: object) -> None:
    good = {"id": ID, "flow_run_id": ID, "created": "2026-01-01T00:00:00Z", "data": '[{"clusters": 3}]'}
    server.answer = as_json([odd, good])
    with flow_runs("ns") as asked:
        found = asked.outcomes([ID, OTHER])
    assert {run_id: one.clusters for run_id, one in found.items()} == {ID: 3}
