"""What an object's status says of its flow run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from flows.model.outcome import Outcome
from flows.operator.resources.status import Best, Cells, Run, Status, Trouble, of_cells, of_run, read_status, unable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DONE = Outcome(record_key="experiments/x.json", clusters=3, noise_ratio=0.1, score=0.8)
LATER = NOW + timedelta(minutes=1)


def run(state: str, name: str, message: str = "", ended: datetime | None = None) -> Run:
    return Run("id", state, name, message, NOW if state != "pending" else None, ended)


def status(
    of: Run, before: Status | None = None, trouble: Trouble | None = None, outcome: Outcome | None = None
) -> Status:
    return of_run(before or Status(), 1, of, "http://ui/id", trouble, outcome, NOW)


@pytest.mark.parametrize(
    ("state", "name", "phase", "true"),
    [
        ("scheduled", "Late", "Pending", []),
        ("pending", "InfrastructurePending", "Pending", []),
        ("running", "Running", "Running", ["Running"]),
        ("cancelling", "Cancelling", "Running", ["Running"]),
        ("completed", "Completed", "Succeeded", ["Succeeded"]),
        ("failed", "Failed", "Failed", ["Failed"]),
        ("crashed", "Crashed", "Failed", ["Failed"]),
        ("cancelled", "Cancelled", "Cancelled", ["Failed"]),
    ],
)
def test_phase_and_conditions_follow_the_state(state: str, name: str, phase: str, true: list[str]) -> None:
    found = status(run(state, name, "why"))
    assert found.phase == phase
    assert [one.type for one in found.conditions if one.status == "True"] == true
    assert {(one.reason, one.message) for one in found.conditions} == {(name, "why")}
    assert [one.type for one in found.conditions] == ["Running", "Succeeded", "Failed"], "each is there from the start"


def test_a_pod_that_can_not_run_gives_the_reason() -> None:
    trouble = Trouble("ImagePullBackOff", "no such image")
    found = status(run("pending", "InfrastructurePending"), trouble=trouble)
    assert (found.conditions[0].reason, found.conditions[0].message) == ("ImagePullBackOff", "no such image")
    ended = status(run("completed", "Completed"), trouble=trouble)
    assert ended.conditions[0].reason == "Completed", "it ran all the same"


def test_cells_that_wait_for_room_while_others_run_are_no_news() -> None:
    full, missing = Trouble("Unschedulable", "0/1 nodes"), Trouble("ImagePullBackOff", "no such image")
    waits = status(run("running", "Running"), trouble=of_cells({"a": full}))
    assert (waits.conditions[0].reason, waits.conditions[0].message) == (
        "Running",
        "flow run a of its cells: 0/1 nodes",
    )
    assert status(run("running", "Running"), trouble=of_cells({"a": full, "b": missing})).conditions[0].reason == (
        "ImagePullBackOff"
    )
    assert of_cells({}) is None


@pytest.mark.parametrize("state", ["cancelling", "cancelled"])
def test_whoever_cancels_is_the_reason(state: str) -> None:
    for trouble in (Trouble("Unschedulable", "0/1 nodes"), Trouble("ImagePullBackOff", "no such image")):
        found = status(run(state, state.title(), "by hand"), trouble=trouble)
        assert (found.conditions[0].reason, found.conditions[0].message) == (
            state.title(),
            f"{trouble.message}; by hand",
        )


def test_a_failure_is_not_laid_upon_a_cell_that_waits() -> None:
    found = status(run("failed", "Failed", "why"), trouble=of_cells({"a": Trouble("Unschedulable", "0/1 nodes")}))
    assert found.conditions[2].reason == "Failed"


def test_a_long_name_of_a_state_is_cut() -> None:
    assert len(status(run("running", "R" * 999)).conditions[0].reason) == 256


def test_an_end_out_of_memory_says_so_beside_what_prefect_says() -> None:
    found = status(run("crashed", "Crashed", "no pod"), trouble=Trouble("OOMKilled", "past its limit"))
    assert (found.conditions[2].reason, found.conditions[2].message) == ("OOMKilled", "past its limit; no pod")


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    pending = status(run("pending", "Pending"))
    running = of_run(pending, 1, run("running", "Running"), "", None, None, LATER)
    times = {one.type: one.last_transition_time for one in running.conditions}
    assert times == {
        "Running": "2026-01-02T03:05:05Z",
        "Succeeded": "2026-01-02T03:04:05Z",
        "Failed": times["Succeeded"],
    }


def test_results_stay_where_a_later_look_finds_none() -> None:
    half = Outcome(cells=4, cells_done=2, score=0.71234, best_eps=0.1, best_min_samples=5)
    found = status(run("running", "Running"), outcome=half)
    for later in (None, Outcome()):
        again = status(run("running", "Running"), before=found, outcome=later)
        assert again.cells == Cells(total=4, done=2)
        assert again.best == Best(eps=0.1, min_samples=5, score=0.7123)


def test_the_outcome_of_another_version_is_read_as_far_as_it_is_known() -> None:
    row = {**DONE.model_dump(), "best_adapter": None, "of_a_later_version": 1}
    assert Outcome.model_validate(row) == DONE


def test_an_end_has_its_time_and_is_final() -> None:
    found = status(run("completed", "Completed", ended=LATER), outcome=DONE)
    assert (found.started_at, found.finished_at) == ("2026-01-02T03:04:05Z", "2026-01-02T03:05:05Z")
    assert (found.record_key, found.clusters, found.score) == ("experiments/x.json", 3, 0.8)
    assert found.finished


def test_without_prefect_the_phase_stays_and_the_reason_is_told() -> None:
    found = unable(status(run("running", "Running")), 1, "PrefectUnavailable", "no answer", LATER, final=False)
    assert (found.phase, found.conditions[0].status, found.conditions[0].reason) == (
        "Running",
        "True",
        "PrefectUnavailable",
    )
    assert not found.finished


def test_a_spec_that_can_not_be_read_is_the_end() -> None:
    found = unable(Status(), 2, "InvalidSpec", "eps", NOW, final=True)
    assert (found.phase, found.finished_at, found.observed_generation) == ("Failed", "2026-01-02T03:04:05Z", 2)


def test_a_status_is_read_back_as_it_was_written() -> None:
    found = status(run("completed", "Completed", ended=LATER), outcome=DONE.model_copy(update={"score": None}))
    assert Status.model_validate(found.model_dump(mode="json", by_alias=True, exclude_none=True)) == found


RUN_ID = "6f6a2ad2-9a34-4a49-a3d0-2d6f27b0f0f3"
BY_HAND: list[dict[str, JsonValue]] = [
    {"phase": "Done"},
    {"phase": ["Succeeded"]},
    {"phase": None},
    {"phase": "Succeeded"},
    {"finishedAt": "yesterday"},
    {"finishedAt": "2026-01-02T03:04:05"},
    {"finishedAt": 1767323045},
    {"startedAt": {}},
    {"clusters": "many"},
    {"clusters": 1.5},
    {"cells": []},
    {"best": "eps"},
    {"conditions": None},
    {"conditions": [None]},
    {"conditions": [{"type": "Ready", "status": "True"}]},
    {"observedGeneration": "second"},
    {"score": [0.5]},
    {"recordKey": 7},
    {"ofALaterVersion": {"a": [1]}},
]


@pytest.mark.parametrize("fields", BY_HAND, ids=str)
def test_a_status_written_by_hand_is_written_anew_and_keeps_its_run(fields: dict[str, JsonValue]) -> None:
    good = status(run("completed", "Completed", ended=LATER), outcome=DONE)
    carried = {**good.model_dump(mode="json", by_alias=True), "flowRunId": RUN_ID, **fields}
    found = read_status(carried)
    assert found.flow_run_id == RUN_ID
    if fields != {"phase": "Succeeded"}:
        assert found.observed_generation is None
    ended = Run(RUN_ID, "completed", "Completed", "", NOW, LATER)
    again = of_run(found, 1, ended, "http://ui/id", None, DONE, LATER)
    assert again != found or fields == {"phase": "Succeeded"}
    assert read_status(again.model_dump(mode="json", by_alias=True)) == again


@pytest.mark.parametrize(
    "data", [None, [], "Succeeded", 7, True, {}, {"phase": "Succeeded"}, {"flowRunId": "x"}], ids=str
)
def test_what_is_no_status_is_that_of_a_new_object(data: object) -> None:
    assert read_status(data).model_copy(update={"observed_generation": None}) == Status()


@pytest.mark.parametrize("run_id", ["", "x" * 10_000, "../../admin", RUN_ID.replace("-", ""), f"{{{RUN_ID}}}"])
def test_what_is_no_run_id_is_none(run_id: str) -> None:
    assert read_status({"flowRunId": run_id, "phase": "Running"}).flow_run_id is None


def test_an_end_without_a_time_gets_one_and_keeps_it() -> None:
    first = status(run("cancelled", "Cancelled"))
    assert first.finished_at == "2026-01-02T03:04:05Z"
    later = of_run(first, 1, run("cancelled", "Cancelled"), "http://ui/id", None, None, LATER)
    assert later == first


def test_a_score_that_is_no_number_is_absent() -> None:
    assert status(run("running", "Running"), outcome=Outcome.model_construct(score=float("nan"))).score is None
