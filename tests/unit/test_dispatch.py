"""What becomes of a chunk, by the states of its flow runs: started once, re-attached, tried again, given up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from flows.core.errors import DispatchError
from flows.sweeps import dispatch
from flows.sweeps.chunks import FanOut
from flows.sweeps.dispatch import Chunk, Family

PARENT, OTHER = UUID(int=1), UUID(int=2)
SWEEP = "20260131T020304Z-ab12cd34"


class Prefect:
    """Flow runs whose states a test decides: each query moves every run one state on, as `script` says by key."""

    def __init__(self) -> None:
        self.runs: list[FlowRun] = []
        self.script: dict[str, list[StateType]] = {}
        self.n_queries, self.most_at_once = 0, 0
        self.on_completed: Callable[[str], None] = lambda chunk: None

    def add(self, key: str, chunk: str, state: StateType) -> None:
        now = datetime(2026, 1, 31, tzinfo=UTC) + timedelta(seconds=len(self.runs))
        parameters = {"chunk": None if chunk == "suggest" else int(chunk)}
        self.runs.append(
            FlowRun(
                id=uuid4(), flow_id=uuid4(), name=key, created=now, idempotency_key=key, parameters=parameters,
                state=State(type=state, message="it broke"), state_type=state,
            )
        )  # fmt: skip

    def run_deployment(self, name: str, **given: Any) -> SimpleNamespace:
        assert name == "sweep_cells_flow/sequential"
        assert given["timeout"] == 0
        assert given["tags"] == [f"sweep:{SWEEP}"]
        key = given["idempotency_key"]
        if all(run.idempotency_key != key for run in self.runs):
            chunk = given["parameters"]["chunk"]
            self.add(key, "suggest" if chunk is None else str(chunk), StateType.SCHEDULED)
        return SimpleNamespace(name=key)

    def page(self, family: Family, client: object, offset: int) -> list[FlowRun]:
        self.n_queries += 1
        for place, run in enumerate(self.runs):
            if self.script.get(run.idempotency_key or ""):
                state = self.script[run.idempotency_key or ""].pop(0)
                self.runs[place] = run.model_copy(
                    update={"state": State(type=state, message="it broke"), "state_type": state}
                )
                if state == StateType.COMPLETED:
                    self.on_completed(str(run.parameters["chunk"]))
        open_runs = [run for run in self.runs if run.state is not None and not run.state.is_final()]
        self.most_at_once = max(self.most_at_once, len(open_runs))
        return list(self.runs) if offset == 0 else []


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    world = Prefect()
    monkeypatch.setattr(dispatch, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "get_client", lambda sync_client: nullcontext())
    monkeypatch.setattr(dispatch, "run_deployment", world.run_deployment)
    monkeypatch.setattr(Family, "_page", lambda family, client, offset: world.page(family, client, offset))
    return world


def follow(world: Prefect, n_chunks: int, how: FanOut | None = None, done: set[str] | None = None) -> dict[str, str]:
    finished = set() if done is None else done
    world.on_completed = finished.add
    chunks = [
        Chunk(number, "sweep_cells_flow/sequential", lambda name=str(number): name in finished)  # type: ignore[misc]
        for number in range(n_chunks)
    ]
    return Family(PARENT, "sweeps", SWEEP, how or FanOut()).follow(chunks, lambda: None)


def keys(world: Prefect) -> list[str]:
    return [run.idempotency_key or "" for run in world.runs]


RUNNING, COMPLETED, CRASHED, FAILED = StateType.RUNNING, StateType.COMPLETED, StateType.CRASHED, StateType.FAILED


def test_every_chunk_is_started_once_and_no_more_at_once_than_allowed(prefect: Prefect) -> None:
    prefect.script = {f"{PARENT}-{number}-1": [RUNNING, COMPLETED] for number in range(5)}
    assert follow(prefect, 5, FanOut(max_parallel=2)) == {}
    assert keys(prefect) == [f"{PARENT}-{number}-1" for number in range(5)]
    assert prefect.most_at_once == 2


def test_one_query_serves_all_children(prefect: Prefect) -> None:
    prefect.script = {f"{PARENT}-{number}-1": [RUNNING, RUNNING, COMPLETED] for number in range(4)}
    follow(prefect, 4)
    assert prefect.n_queries <= 5


@pytest.mark.parametrize("end", [CRASHED, FAILED])
def test_a_broken_chunk_is_tried_again_and_then_given_up(prefect: Prefect, end: StateType) -> None:
    prefect.script = {
        f"{PARENT}-0-1": [end], f"{PARENT}-0-2": [COMPLETED], f"{PARENT}-1-1": [end], f"{PARENT}-1-2": [end]
    }  # fmt: skip
    failures = follow(prefect, 2)
    assert sorted(keys(prefect)) == sorted(f"{PARENT}-{chunk}-{attempt}" for chunk in (0, 1) for attempt in (1, 2))
    assert set(failures) == {"1"}
    assert "attempt 2" in failures["1"]
    assert "it broke" in failures["1"]


def test_a_parent_that_is_started_again_attaches_to_what_is_there(prefect: Prefect) -> None:
    for chunk, state in enumerate((StateType.SCHEDULED, RUNNING, COMPLETED, CRASHED)):
        prefect.add(f"{PARENT}-{chunk}-1", str(chunk), state)
    prefect.script = {f"{PARENT}-0-1": [RUNNING, COMPLETED], f"{PARENT}-1-1": [COMPLETED]}
    prefect.script[f"{PARENT}-3-2"] = [COMPLETED]
    assert follow(prefect, 4, done={"2"}) == {}
    assert keys(prefect)[4:] == [f"{PARENT}-3-2"]


def test_a_resuming_parent_waits_for_the_children_of_another(prefect: Prefect) -> None:
    prefect.add(f"{OTHER}-0-1", "0", RUNNING)
    prefect.add(f"{OTHER}-1-2", "1", CRASHED)
    prefect.script = {f"{OTHER}-0-1": [RUNNING, COMPLETED], f"{PARENT}-1-1": [COMPLETED]}
    assert follow(prefect, 2) == {}
    assert keys(prefect)[2:] == [f"{PARENT}-1-1"]


def test_what_is_done_needs_no_flow_run(prefect: Prefect) -> None:
    assert follow(prefect, 2, done={"0", "1"}) == {}
    assert keys(prefect) == []


def test_a_child_that_a_person_cancelled_is_not_started_again(prefect: Prefect) -> None:
    prefect.script = {f"{PARENT}-0-1": [StateType.CANCELLED]}
    assert "Cancelled" in follow(prefect, 1)["0"]
    assert len(prefect.runs) == 1


def test_an_api_that_is_away_is_asked_again_and_a_missing_deployment_is_named(
    prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Exception | None] = [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), None]

    def unsteady(name: str, **given: Any) -> SimpleNamespace:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return prefect.run_deployment(name, **given)

    monkeypatch.setattr(dispatch, "run_deployment", unsteady)
    prefect.script = {f"{PARENT}-0-1": [COMPLETED]}
    assert follow(prefect, 1) == {}

    answers[:] = [ObjectNotFound(http_exc=None)]  # type: ignore[arg-type]
    prefect.runs.clear()
    with pytest.raises(DispatchError, match=r"no deployment sweep_cells_flow/sequential.*platform apply"):
        follow(prefect, 1)

    monkeypatch.setattr(dispatch, "PATIENCE_SECONDS", 0.0)
    answers[:] = [httpx.ConnectError("refused")]
    with pytest.raises(DispatchError, match=r"does not answer.*resume the sweep"):
        follow(prefect, 1)
