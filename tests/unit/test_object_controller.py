"""Objects are brought to their end, whatever is cut off in between, on a cluster and a server of dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest

from flows.core.errors import ClusterRefusalError, ObjectError, PrefectApiError, RunRefusedError
from flows.model.outcome import Outcome
from flows.operator.cluster.kube import Reference
from flows.operator.resources.controller import Controller
from flows.operator.resources.kube import Objects
from flows.operator.resources.maximum import Maximum
from flows.operator.resources.mirror import Ended, Held, asks_for_a_turn
from flows.operator.resources.runs import FlowRuns
from flows.operator.resources.schema import (
    ExperimentSpecification,
    ParameterSweepSpecification,
    Resources,
    Specification,
)
from flows.operator.resources.status import Run, Status, Trouble

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Cluster:
    """Objects by their uid, as the API server holds them."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.trouble: dict[str, Trouble] = {}
        self.events: list[tuple[str, str, bool]] = []
        self.writes = 0
        self.refuses = ""

    def put(self, uid: str, spec: Specification) -> None:
        reference = Reference("taxi.flows/v1alpha1", spec.kind, "ns", f"name-{uid}", uid)
        self.held[uid] = Held(type(spec), reference, "1", 1, spec, "", Status())

    def all(self) -> list[Held]:
        return list(self.held.values())

    def read(self, one: Held | Ended) -> Held | None:
        return self.held.get(one.uid)

    def write_status(self, held: Held, status: Status) -> bool:
        self._check(held)
        now = self.held.get(held.reference.uid)
        if now is None or now.version != held.version:
            return False
        self.writes += 1
        self.held[held.reference.uid] = replace(now, status=status, version=str(int(now.version) + 1))
        return True

    def _check(self, held: Held | Ended) -> None:
        if held.uid == self.refuses:
            raise ClusterRefusalError("403")

    def delete(self, held: Held | Ended) -> None:
        self._check(held)
        del self.held[held.uid]

    def troubles(self) -> Mapping[str, Trouble]:
        return self.trouble

    def status(self, uid: str) -> Status:
        return self.held[uid].status


class Server:
    """Flow runs by the uid of their object: an idempotency key gives the run that is there."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.outcome: dict[str, Outcome] = {}
        self.cancelled: list[str] = []
        self.created = 0
        self.fault: Exception | None = None
        self.spares: set[str] = set()
        self.cells: dict[str, list[Run]] = {}

    @contextmanager
    def open(self) -> Iterator[FlowRuns]:
        if isinstance(self.fault, PrefectApiError):
            raise self.fault
        yield cast(FlowRuns, self)

    def under_way(self) -> dict[str, Run]:
        return {
            uid: run for uid, run in self.runs.items() if run.state in {"scheduled", "pending", "running", "cancelling"}
        }

    def by_id(self, ids: Sequence[str]) -> dict[str, Run]:
        return {run.id: run for run in self.runs.values() if run.id in ids}

    def children(self, parent_id: str, among: Sequence[str]) -> list[Run]:
        return [cell for cell in self.cells.get(parent_id, []) if cell.id in among]

    def start(self, spec: Specification, name: str, uid: str) -> Run:
        if self.fault is not None and name not in self.spares:
            raise self.fault
        if uid not in self.runs:
            self.created += 1
            self.runs[uid] = Run(f"run-{uid}", "scheduled", "Scheduled", "", None, None)
        return self.runs[uid]

    def cancel(self, run_id: str) -> None:
        self.cancelled.append(run_id)

    def outcomes(self, run_ids: Sequence[str]) -> dict[str, Outcome]:
        return {run_id: found for run_id, found in self.outcome.items() if run_id in run_ids}

    def set(self, uid: str, state: str) -> None:
        ended = CREATED if state in {"completed", "failed", "crashed", "cancelled"} else None
        self.runs[uid] = replace(self.runs[uid], state=state, name=state.title(), started_at=CREATED, ended_at=ended)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def operator(cluster: Cluster, server: Server) -> Controller:
    return another(cluster, server)


def another(
    cluster: Cluster, server: Server, ttl_seconds: int | None = None, maximum: Maximum | None = None
) -> Controller:
    def post(about: Reference, reason: str, message: str, bad: bool) -> None:
        cluster.events.append((about.uid, reason, bad))

    def url(run_id: str) -> str:
        return f"http://ui/{run_id}"

    return Controller(cast(Objects, cluster), server.open, post, url, ttl_seconds=ttl_seconds, maximum=maximum)


EXPERIMENT = ExperimentSpecification(data_source="a.parquet")


def test_an_experiment_runs_to_its_end(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    assert (cluster.status("1").phase, cluster.status("1").flow_run_url) == ("Pending", "http://ui/run-1")
    server.set("1", "running")
    operator.turn()
    server.set("1", "completed")
    server.outcome["run-1"] = Outcome(record_key="k", clusters=3, noise_ratio=0.2, score=0.9)
    operator.turn()
    status = cluster.status("1")
    assert (status.phase, status.record_key, status.clusters, status.score) == ("Succeeded", "k", 3, 0.9)
    assert cluster.events == [("1", "Scheduled", False), ("1", "Running", False), ("1", "Completed", False)]


def test_a_quick_run_has_begun_too(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "completed")
    operator.turn()
    assert [reason for _, reason, _ in cluster.events] == ["Scheduled", "Running", "Completed"]


def test_a_quick_failure_had_begun_well(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "failed")
    operator.turn()
    assert cluster.events[1:] == [("1", "Running", False), ("1", "Failed", True)]


def test_a_new_object_does_not_wait_for_news_of_others(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "running")
    cluster.put("2", EXPERIMENT)
    operator.turn()
    assert cluster.events == [("1", "Scheduled", False), ("2", "Scheduled", False), ("1", "Running", False)]


@pytest.mark.parametrize(
    ("event", "status", "asks"),
    [
        (None, {}, True),
        ("ADDED", {}, True),
        ("MODIFIED", {"observedGeneration": 1}, True),
        ("MODIFIED", {"observedGeneration": 2}, False),
        (None, {"observedGeneration": 2}, False),
        ("DELETED", {"observedGeneration": 2}, True),
    ],
)
def test_only_what_others_change_asks_for_a_turn(event: str | None, status: dict[str, int], asks: bool) -> None:
    body = {"metadata": {"name": "a", "generation": 2}, "status": status}
    assert asks_for_a_turn({"type": event, "object": body}) is asks


def test_a_turn_without_news_writes_nothing(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    writes = cluster.writes
    operator.turn()
    server.set("1", "completed")
    operator.turn()
    operator.turn()
    assert cluster.writes == writes + 1


def test_a_restart_or_a_second_operator_starts_nothing_twice(cluster: Cluster, server: Server) -> None:
    cluster.put("1", EXPERIMENT)
    another(cluster, server).turn()
    cluster.held["1"] = replace(cluster.held["1"], status=Status())  # it died before it wrote the status
    server.set("1", "completed")
    server.outcome["run-1"] = Outcome(clusters=3)
    another(cluster, server).turn()
    assert server.created == 1
    assert (cluster.status("1").phase, cluster.status("1").clusters) == ("Succeeded", 3)


def test_a_sweep_shows_how_far_it_is_and_its_best_setting(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    cluster.put("1", ParameterSweepSpecification(data_source="a"))
    operator.turn()
    server.set("1", "running")
    server.outcome["run-1"] = Outcome(
        cells=12, cells_done=5, cells_failed=1, score=0.4, best_eps=0.3, best_min_samples=10
    )
    operator.turn()
    cells, best = cluster.status("1").cells, cluster.status("1").best
    assert cells is not None
    assert best is not None
    assert (cells.total, cells.done, cells.failed) == (12, 5, 1)
    assert (best.eps, best.min_samples, best.score) == (0.3, 10, 0.4)


def test_the_run_of_a_deleted_object_is_cancelled(cluster: Cluster, server: Server, operator: Controller) -> None:
    for uid in "123":
        cluster.put(uid, EXPERIMENT)
    operator.turn()
    server.set("2", "completed")
    server.set("3", "cancelling")
    cluster.held.clear()
    operator.turn()
    assert server.cancelled == ["run-1"], "one has ended, and one is told already"


def test_an_object_goes_when_its_time_is_up(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT.model_copy(update={"ttl_seconds_after_finished": 0}))
    cluster.put("2", EXPERIMENT)
    operator.turn()
    for uid in "12":
        server.set(uid, "completed")
    operator.turn()
    operator.turn()
    assert list(cluster.held) == ["2"]


def test_an_object_that_names_no_time_to_live_has_that_of_the_release(cluster: Cluster, server: Server) -> None:
    cluster.put("1", EXPERIMENT)
    cluster.put("2", EXPERIMENT.model_copy(update={"ttl_seconds_after_finished": 2**31 - 1}))
    operator = another(cluster, server, ttl_seconds=3600)
    operator.turn()
    for uid in "12":
        server.set(uid, "completed")
    operator.turn()
    operator.turn()
    assert list(cluster.held) == ["2"]


def test_what_asks_for_too_large_a_pod_is_refused_for_good(cluster: Cluster, server: Server) -> None:
    cluster.put("1", EXPERIMENT.model_copy(update={"resources": Resources(memory="17Gi")}))
    cluster.put("2", EXPERIMENT.model_copy(update={"resources": Resources(memory="16384Mi", cpu_limit="8000m")}))
    cluster.put("3", EXPERIMENT)
    operator = another(cluster, server, maximum=Maximum(cpu="8", memory="16Gi"))
    operator.turn()
    operator.turn()
    assert [cluster.status(uid).flow_run_id for uid in "123"] == [None, "run-2", "run-3"]
    status = cluster.status("1")
    assert (status.phase, status.conditions[2].reason) == ("Failed", "TooLarge")
    assert status.conditions[2].message == (
        "resources.memory is 17Gi, at most 16Gi is allowed (flowRuns.maximum.memory of the chart flows). "
        "Create another object that asks for less."
    )
    assert ("1", "TooLarge", True) in cluster.events


def test_a_run_that_was_just_started_by_another_operator_is_let_be(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    for uid, made in (("new", datetime.now(UTC)), ("old", CREATED)):
        server.runs[uid] = Run(f"run-{uid}", "running", "Running", "", None, None, uid, made)
    operator.turn()
    assert server.cancelled == ["run-old"]


def test_the_run_of_another_object_is_not_taken_over(cluster: Cluster, server: Server, operator: Controller) -> None:
    for uid in "12":
        cluster.put(uid, EXPERIMENT)
    operator.turn()
    for uid in "12":
        server.set(uid, "completed")
        server.runs[uid] = replace(server.runs[uid], uid=uid)
    edited = cluster.status("1").model_copy(update={"flow_run_id": "run-2"})
    cluster.held["1"] = replace(cluster.held["1"], status=edited)
    operator.turn()
    assert [cluster.status(uid).flow_run_id for uid in "12"] == ["run-1", "run-2"]


def test_what_was_refused_before_does_not_come_first_again(
    cluster: Cluster, server: Server, operator: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    start = server.start

    def asking(spec: Specification, name: str, uid: str) -> Run:
        asked.append(uid)
        return start(spec, name, uid)

    monkeypatch.setattr(server, "start", asking)
    cluster.put("1", EXPERIMENT)
    server.fault, server.spares = RunRefusedError("no"), {"name-2"}
    operator.turn()
    cluster.put("2", EXPERIMENT)
    operator.turn()
    assert asked == ["1", "2", "1"]


def test_a_cancellation_that_is_refused_holds_up_nothing(
    cluster: Cluster, server: Server, operator: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run_id: str) -> None:
        raise RunRefusedError("409")

    cluster.put("1", EXPERIMENT)
    operator.turn()
    cluster.held.clear()
    cluster.put("2", EXPERIMENT)
    monkeypatch.setattr(server, "cancel", refuse)
    operator.turn()
    assert cluster.status("2").flow_run_id == "run-2"


def test_a_fault_of_one_object_holds_up_no_other(
    cluster: Cluster, server: Server, operator: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    for uid in "12":
        cluster.put(uid, EXPERIMENT)
    server.fault, server.spares = KeyError("nobody expected this"), {"name-2"}
    operator.turn()
    operator.turn()
    assert cluster.status("2").flow_run_id == "run-2"
    assert [one.exc_info is not None for one in caplog.records] == [True], "said once, with its traceback"


def test_it_is_ready_while_all_answer(cluster: Cluster, server: Server, operator: Controller) -> None:
    assert not operator.ready()
    server.fault = PrefectApiError("no answer")
    operator.turn()
    assert not operator.ready()
    server.fault = None
    operator.turn()
    assert operator.ready()


def test_a_fault_in_other_words_is_no_news(
    cluster: Cluster, server: Server, operator: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.put("1", EXPERIMENT)
    for words in ("request 1", "request 2"):
        server.fault = PrefectApiError(words)
        operator.turn()
    assert (cluster.writes, caplog.messages) == (1, ["request 1"])


def test_while_prefect_is_away_the_objects_say_so_once(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    server.fault = PrefectApiError("no answer")
    operator.turn()
    operator.turn()
    assert cluster.events == [("1", "PrefectUnavailable", True)]
    assert cluster.status("1").phase == "Pending"
    server.fault = None
    operator.turn()
    assert cluster.status("1").flow_run_id == "run-1"


def test_a_missing_deployment_is_waited_for(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    server.fault = ObjectError("no deployment")
    operator.turn()
    assert (cluster.status("1").phase, cluster.events[-1][1]) == ("Pending", "NoDeployment")
    server.fault = None
    operator.turn()
    assert server.created == 1


def test_a_run_that_is_refused_holds_up_no_other(cluster: Cluster, server: Server, operator: Controller) -> None:
    for uid in "12":
        cluster.put(uid, EXPERIMENT)
    server.fault, server.spares = RunRefusedError("no"), {"name-2"}
    operator.turn()
    assert cluster.status("1").conditions[0].reason == "RunRefused"
    assert cluster.status("2").flow_run_id == "run-2"


def test_what_changed_since_it_was_read_is_left_for_the_next_turn(
    cluster: Cluster, server: Server, operator: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put("1", EXPERIMENT)
    stale = [replace(one, version="0") for one in cluster.all()]
    with monkeypatch.context() as patched:
        patched.setattr(cluster, "all", lambda: stale)
        operator.turn()
    assert (cluster.writes, cluster.events) == (0, [])
    operator.turn()
    assert (cluster.status("1").flow_run_id, server.created) == ("run-1", 1)


def test_a_spec_of_a_newer_kind_does_not_fail_a_run_under_way(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    cluster.put("2", EXPERIMENT)
    cluster.held = {uid: replace(one, spec=None, fault="no such field") for uid, one in cluster.held.items()}
    server.set("1", "running")
    operator.turn()
    assert (cluster.status("1").phase, cluster.status("2").phase) == ("Running", "Failed")
    assert cluster.status("2").conditions[2].reason == "InvalidSpec"


def test_a_new_time_to_live_of_a_finished_object_is_observed(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "completed")
    operator.turn()
    told = len(cluster.events)
    cluster.held["1"] = replace(cluster.held["1"], generation=2)
    operator.turn()
    assert cluster.status("1").observed_generation == 2
    assert (cluster.status("1").phase, len(cluster.events)) == ("Succeeded", told)


def test_a_run_that_was_deleted_on_the_server_is_not_started_again(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.runs.clear()
    operator.turn()
    operator.turn()
    assert (cluster.status("1").phase, cluster.status("1").conditions[2].reason) == ("Failed", "FlowRunGone")
    assert server.created == 1


def test_a_pod_out_of_memory_is_told(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "crashed")
    cluster.trouble["run-1"] = Trouble("OOMKilled", "past its limit")
    operator.turn()
    assert cluster.events[-1] == ("1", "OOMKilled", True)


def test_a_sweep_tells_of_the_pods_of_its_cells_and_of_no_others(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    for uid in "12":
        cluster.put(uid, ParameterSweepSpecification(data_source="a"))
    operator.turn()
    server.set("1", "running")
    server.set("2", "running")
    server.cells = {"run-1": [cell("cell-1"), cell("cell-2")], "run-2": [cell("cell-3")]}
    cluster.trouble["cell-2"] = Trouble("ImagePullBackOff", "no such image")
    operator.turn()
    told = cluster.status("1").conditions[0]
    assert (told.status, told.reason) == ("True", "ImagePullBackOff")
    assert told.message == "flow run cell-2 of its cells: no such image"
    assert cluster.status("2").conditions[0].reason == "Running"
    assert ("1", "ImagePullBackOff", True) in cluster.events


def cell(run_id: str, ended_at: datetime | None = None) -> Run:
    return Run(run_id, "crashed" if ended_at else "running", "", "", CREATED, ended_at)


def test_a_cell_whose_work_was_done_again_is_no_news(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", ParameterSweepSpecification(data_source="a"))
    operator.turn()
    server.set("1", "running")
    server.cells = {"run-1": [cell("cell-1", datetime.now(UTC))]}
    cluster.trouble["cell-1"] = Trouble("OOMKilled", "past its limit")
    operator.turn()
    assert cluster.status("1").conditions[0].reason == "OOMKilled", "a moment ago"
    server.cells = {"run-1": [cell("cell-1", CREATED)]}
    operator.turn()
    assert cluster.status("1").conditions[0].reason == "Running"
    server.set("1", "failed")
    operator.turn()
    assert cluster.status("1").conditions[2].reason == "OOMKilled", "at the end all of them count"


def test_an_end_is_told_where_its_reason_was_known_before(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "running")
    cluster.trouble["run-1"] = Trouble("OOMKilled", "past its limit")
    operator.turn()
    server.set("1", "crashed")
    operator.turn()
    assert [reason for _, reason, _ in cluster.events] == ["Scheduled", "OOMKilled", "Failed"]


def test_a_run_that_was_taken_for_dead_and_was_not_is_told_well(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    for uid in "12":
        cluster.put(uid, EXPERIMENT)
    operator.turn()
    server.set("1", "crashed")
    server.runs["1"] = replace(server.runs["1"], ended_at=datetime.now(UTC))
    server.set("2", "crashed")  # long ago
    operator.turn()
    server.set("1", "completed")
    server.set("2", "completed")
    operator.turn()
    assert (cluster.status("1").phase, cluster.status("2").phase) == ("Succeeded", "Failed")


def test_what_kubernetes_refuses_of_one_object_holds_up_no_other(
    cluster: Cluster, server: Server, operator: Controller
) -> None:
    for uid in "123":
        cluster.put(uid, EXPERIMENT.model_copy(update={"ttl_seconds_after_finished": 0}))
    cluster.refuses = "1"
    operator.turn()
    assert [cluster.status(uid).flow_run_id for uid in "123"] == [None, "run-2", "run-3"]
    server.set("2", "completed")
    operator.turn()
    cluster.refuses = "2"
    server.set("3", "completed")
    operator.turn()
    assert cluster.status("3").phase == "Succeeded"


def test_a_run_that_is_retried_is_followed_again(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT.model_copy(update={"ttl_seconds_after_finished": 0}))
    operator.turn()
    server.set("1", "failed")
    operator.turn()
    server.set("1", "running")
    operator.turn()
    assert (cluster.status("1").phase, cluster.status("1").finished_at) == ("Running", None)
    server.set("1", "completed")
    operator.turn()
    assert cluster.status("1").phase == "Succeeded"
    operator.turn()
    assert cluster.held == {}, "now its time is up"


def test_a_run_that_ended_meanwhile_is_not_taken_for_a_retried_one(
    cluster: Cluster, server: Server, operator: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put("1", EXPERIMENT)
    operator.turn()
    server.set("1", "running")
    before = server.under_way()
    server.set("1", "completed")
    operator.turn()
    monkeypatch.setattr(server, "under_way", lambda: before)
    operator.turn()
    assert cluster.status("1").phase == "Succeeded"


def test_objects_are_counted_by_kind_and_phase(cluster: Cluster, server: Server, operator: Controller) -> None:
    cluster.put("1", EXPERIMENT)
    cluster.put("2", ParameterSweepSpecification(data_source="a"))
    operator.turn()
    server.set("1", "running")
    operator.turn()
    server.fault = PrefectApiError("no answer")
    operator.turn()
    assert {key: number for key, number in operator.count.items() if number} == {
        ("Experiment", "Running"): 1,
        ("ParameterSweep", "Pending"): 1,
    }
    assert operator.count["Experiment", "Failed"] == 0, "each series is there from the start"
