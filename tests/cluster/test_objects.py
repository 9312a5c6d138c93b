"""Experiments and ParameterSweeps on the cluster: each runs once, tells what became of it, and never hangs."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.faults import away
from tests.cluster.kube import FLOWS, apply, get, kubectl, wait_until
from tests.cluster.objects import (
    FINISHED,
    OPERATOR,
    applied,
    custom,
    events_of,
    experiment,
    fresh,
    refusal,
    runs_of,
    status,
    uid_of,
    until_phase,
)
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster

CANCELLED_SECONDS = 60


@pytest.mark.smoke
def test_ten_objects_run_once_each_and_tell_what_came_out(cluster: Cluster, months: tuple[str, ...]) -> None:
    prefix = fresh("ten")
    wanted = [experiment(f"{prefix}-{n}", dataSource=months[0], eps=0.05 * (n + 1)) for n in range(8)]
    wanted.append(judged_experiment(f"{prefix}-judged", months[0]))
    sweep = {"dataSource": months[0], "adapter": "grid", "epsValues": [0.05, 0.1], "minSamplesValues": [10, 50]}
    wanted.append(custom("ParameterSweep", f"{prefix}-sweep", sweep))
    with applied(*wanted) as names:
        kubectl("wait", "-n", FLOWS, "--for=condition=Succeeded", "--timeout=600s", *names, timeout_seconds=620)
        for name in names:
            (run,) = runs_of(cluster, uid_of(name))
            assert status(name)["flowRunId"] == str(run.id)
            assert status(name)["flowRunUrl"].endswith(str(run.id))
            assert {"Running", "Completed"} <= set(events_of(uid_of(name)))
        judged, swept = status(names[-2]), status(names[-1])
        (record,) = cluster.records("experiments", run_id_of(judged))
        assert judged["recordKey"] == record["key"]
        assert judged["clusters"] == record["clustering"]["n_clusters"]
        assert judged["score"] == pytest.approx(record["overall_score"], abs=1e-4)
        assert swept["cells"] == {"total": 4, "done": 4, "failed": 0}
        assert swept["best"]["eps"] in sweep["epsValues"]
        shown = kubectl("get", "-n", FLOWS, "experiments", f"{prefix}-judged").splitlines()
        assert shown[0].split() == ["NAME", "PHASE", "ADAPTER", "EPS", "MIN-SAMPLES", "CLUSTERS", "SCORE", "AGE"]
        assert shown[1].split()[1:6] == ["Succeeded", "grid", "0.1", "50", str(judged["clusters"])]


def judged_experiment(name: str, month: str) -> dict[str, Any]:
    """One with clusters enough to be scored."""
    return experiment(name, dataSource=month, evaluate=True, maxSamples=20000, adapter="grid")


def run_id_of(found: dict[str, Any]) -> Any:
    from uuid import UUID

    return UUID(found["flowRunId"])


REFUSED: list[tuple[str, dict[str, object], str]] = [
    ("Experiment", {}, "spec.dataSource: Required value"),
    ("Experiment", {"dataSource": ""}, "spec.dataSource"),
    ("Experiment", {"dataSource": "x", "eps": 0}, "spec.eps in body should be greater than 0"),
    ("Experiment", {"dataSource": "x", "eps": -0.5}, "spec.eps in body should be greater than 0"),
    ("Experiment", {"dataSource": "x", "eps": 1000}, "less than or equal to 100"),
    ("Experiment", {"dataSource": "x", "eps": "half a mile"}, "must be of type number"),
    ("Experiment", {"dataSource": "x", "minSamples": 0}, "greater than or equal to 1"),
    ("Experiment", {"dataSource": "x", "minSamples": 2.5}, "must be of type integer"),
    ("Experiment", {"dataSource": "x", "adapter": "kmeans"}, '"sklearn", "sklearn_parallel", "grid"'),
    ("Experiment", {"dataSource": "x", "coordinateType": "middle"}, '"pickup", "dropoff", "both"'),
    ("Experiment", {"dataSource": "x", "maxSamples": 0}, "greater than or equal to 1"),
    ("Experiment", {"dataSource": "x", "seed": -1}, "greater than or equal to 0"),
    ("Experiment", {"dataSource": "x", "hours": "7-7"}, "hours names an empty span"),
    ("Experiment", {"dataSource": "x", "hours": "25-3"}, "spec.hours in body should match"),
    ("Experiment", {"dataSource": "x", "weekdays": "monday"}, "spec.weekdays in body should match"),
    ("Experiment", {"dataSource": "x", "useLocationIds": "yes"}, "must be of type boolean"),
    ("Experiment", {"dataSource": "x", "ttlSecondsAfterFinished": -1}, "greater than or equal to 0"),
    ("Experiment", {"dataSource": "x", "resources": {"memory": "much"}}, "spec.resources.memory in body should match"),
    ("Experiment", {"dataSource": "x", "resources": {"gpu": 1}}, 'unknown field "spec.resources.gpu"'),
    ("Experiment", {"dataSource": "x", "epsilon": 0.5}, 'unknown field "spec.epsilon"'),
    ("ParameterSweep", {"dataSource": "x", "epsValues": []}, "should have at least 1 items"),
    ("ParameterSweep", {"dataSource": "x", "epsValues": [0.1, 0.1]}, "epsValues has a value twice"),
    ("ParameterSweep", {"dataSource": "x", "minSamplesValues": [5, 5]}, "minSamplesValues has a value twice"),
    ("ParameterSweep", {"dataSource": "x", "metric": "beauty"}, '"overall_score", "silhouette"'),
    ("ParameterSweep", {"dataSource": "x", "maxParallel": 0}, "greater than or equal to 1"),
    ("ParameterSweep", {"dataSource": "x", "maxFailed": -1}, "greater than or equal to 0"),
    (
        "ParameterSweep",
        {"dataSource": "x", "epsValues": [n / 100 for n in range(1, 151)], "minSamplesValues": [*range(1, 101)]},
        "the grid has more than 10,000 cells: set allowLarge",
    ),
]


@pytest.mark.smoke
@pytest.mark.usefixtures("stack")
def test_a_wrong_spec_is_refused_with_the_reason() -> None:
    for kind, spec, message in REFUSED:
        assert message in refusal(kind, spec), (kind, spec)


@pytest.mark.smoke
def test_a_spec_can_not_be_changed_but_for_the_time_to_live(months: tuple[str, ...]) -> None:
    with applied(experiment(fresh("fixed"), dataSource=months[0])) as (name,):
        answer = kubectl("patch", "-n", FLOWS, name, "--type=merge", "-p", '{"spec": {"eps": 0.7}}', check=False)
        assert "spec can't be changed: create a new object" in answer
        answer = kubectl("patch", "-n", FLOWS, name, "--type=merge", "-p", '{"spec": {"hours": "7-10"}}', check=False)
        assert "spec can't be changed: create a new object" in answer
        until_phase(name, FINISHED)
        kubectl("patch", "-n", FLOWS, name, "--type=merge", "-p", '{"spec": {"ttlSecondsAfterFinished": 1}}')
        gone = wait_until(lambda: not exists(name) or None, "the end of its time", 60, 2)
        assert gone


def exists(name: str) -> bool:
    return bool(kubectl("get", "-n", FLOWS, name, "--ignore-not-found"))


@pytest.mark.smoke
def test_why_a_pod_died_stands_in_the_status_and_the_events(months: tuple[str, ...]) -> None:
    hungry = experiment(fresh("hungry"), dataSource=months[1], maxSamples=50000, resources={"memory": "120Mi"})
    with applied(hungry) as (name,):
        found = until_phase(name, FINISHED)
        assert found["phase"] == "Failed"
        assert {one["type"]: one["status"] for one in found["conditions"]}["Failed"] == "True"
        assert "OOMKilled" in events_of(uid_of(name))


def a_minute(months: tuple[str, ...]) -> dict[str, Any]:
    """A sweep that takes a minute or more."""
    cells = {"epsValues": [round(0.02 * n, 2) for n in range(1, 31)], "minSamplesValues": [5, 10, 20, 50]}
    return custom("ParameterSweep", fresh("long"), {"dataSource": months[0], **cells})


@pytest.mark.parametrize("when", ["Pending", "Running", "Succeeded"])
def test_deleting_an_object_cancels_its_run_and_waits_for_nothing(
    cluster: Cluster, months: tuple[str, ...], when: str
) -> None:
    wanted = a_minute(months) if when == "Running" else experiment(fresh("gone"), dataSource=months[0])
    with applied(wanted) as (name,):
        uid = uid_of(name)
        until_phase(name, {when})
        started = time.monotonic()
        kubectl("delete", "-n", FLOWS, name, "--timeout=20s")
        assert time.monotonic() - started < 10
    final = {"Cancelled", "Completed"} if when == "Pending" else {"Completed" if when == "Succeeded" else "Cancelled"}

    def ended() -> str | None:
        (run,) = runs_of(cluster, uid)
        return run.state_name if run.state is not None and run.state.is_final() else None

    assert wait_until(ended, "the end of the run", 2 * CANCELLED_SECONDS + 30, 2) in final


def test_without_the_operator_an_object_is_deleted_at_once_and_its_run_later(
    cluster: Cluster, months: tuple[str, ...]
) -> None:
    with applied(a_minute(months)) as (name,):
        uid = uid_of(name)
        until_phase(name, {"Running"})
        with away(OPERATOR, FLOWS):
            kubectl("wait", "--for=delete", "pod", "-l", "taxi-flows/serves=metrics", "-n", FLOWS, "--timeout=60s")
            kubectl("delete", "-n", FLOWS, name, "--timeout=20s")
    wait_until(lambda: ends_cancelled(cluster, uid), "the end of the run", CANCELLED_SECONDS + 60, 2)


def ends_cancelled(cluster: Cluster, uid: str) -> bool | None:
    (run,) = runs_of(cluster, uid)
    return run.state_name == "Cancelled" or None


@contextmanager
def without(name: str) -> Iterator[None]:
    """Without a CRD, which comes back as Helm left it."""
    held = get("default", "crd", name)
    wanted = {key: held[key] for key in ("apiVersion", "kind", "spec")}
    wanted["metadata"] = {key: held["metadata"][key] for key in ("name", "labels", "annotations")}
    kubectl("delete", "crd", name, "--timeout=60s")
    try:
        yield
    finally:
        kubectl("create", "-f", "-", stdin=json.dumps(wanted))
        kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


def test_deleting_the_definition_never_hangs_and_cancels_what_ran(cluster: Cluster, months: tuple[str, ...]) -> None:
    apply(sweep := a_minute(months))
    name = f"parametersweep/{sweep['metadata']['name']}"
    uid = uid_of(name)
    until_phase(name, {"Running"})
    with without("parametersweeps.taxi.flows"):
        wait_until(lambda: ends_cancelled(cluster, uid), "the end of the run", CANCELLED_SECONDS + 60, 2)
    with applied(experiment(fresh("after"), dataSource=months[0])) as (name,):
        assert until_phase(name, FINISHED)["phase"] == "Succeeded", "the operator outlives it"


def test_an_upgrade_of_the_definition_keeps_the_objects(months: tuple[str, ...]) -> None:
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/note"

    def patch(**what: object) -> None:
        kubectl("patch", "crd", "experiments.taxi.flows", "--type=json", "-p", json.dumps([{"path": field, **what}]))

    with applied(experiment(fresh("kept"), dataSource=months[0])) as (name,):
        before = until_phase(name, FINISHED)
        patch(op="add", value={"type": "string", "description": "A field of a later version."})
        try:
            assert status(name) == before
        finally:
            patch(op="remove")
        assert status(name) == before


def test_while_prefect_is_away_the_status_says_so(cluster: Cluster, months: tuple[str, ...]) -> None:
    with applied(experiment(fresh("patient"), dataSource=months[0])) as (name,), away("deployment/prefect-server"):
        wait_until(lambda: "PrefectUnavailable" in reasons(name) or None, "the reason", 90, 2)
        time.sleep(120)
        (pod,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    # The object was deleted with the block, its run starts or not: what matters is that a new one is taken.
    with applied(experiment(fresh("next"), dataSource=months[0])) as (name,):
        assert until_phase(name, FINISHED)["phase"] == "Succeeded"


def reasons(name: str) -> set[str]:
    return {one["reason"] for one in status(name).get("conditions", [])}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_operator_that_is_killed_starts_nothing_twice(cluster: Cluster, months: tuple[str, ...], seed: int) -> None:
    moments, prefix = random.Random(seed), fresh("killed")  # noqa: S311  (no secret)
    wanted = [experiment(f"{prefix}-{n}", dataSource=months[0]) for n in range(30)]
    with applied(*wanted) as names:
        for _ in range(4):
            time.sleep(moments.uniform(0, 4))
            kubectl("delete", "pods", "-l", "taxi-flows/serves=metrics", "-n", FLOWS, "--grace-period=0", "--force")
        for name in names:
            until_phase(name, FINISHED, 900)
        counts = [len(runs_of(cluster, uid_of(name))) for name in names]
    assert counts == [1] * 30


def test_two_operators_start_each_run_once(cluster: Cluster, months: tuple[str, ...]) -> None:
    kubectl("scale", OPERATOR, "-n", FLOWS, "--replicas=2")
    try:
        kubectl("rollout", "status", OPERATOR, "-n", FLOWS, "--timeout=120s")
        prefix = fresh("two")
        with applied(*(experiment(f"{prefix}-{n}", dataSource=months[0]) for n in range(6))) as names:
            for name in names:
                assert until_phase(name, FINISHED, 400)["phase"] == "Succeeded"
            assert [len(runs_of(cluster, uid_of(name))) for name in names] == [1] * 6
    finally:
        kubectl("scale", OPERATOR, "-n", FLOWS, "--replicas=1")


RSS_MIB, OBJECTS = 250, 100


def test_a_hundred_objects_at_once(cluster: Cluster, months: tuple[str, ...], record_property: Any) -> None:
    prefix = fresh("hundred")
    wanted = [experiment(f"{prefix}-{n}", dataSource=months[0], evaluate=False) for n in range(OBJECTS)]
    with applied(*wanted) as names:
        started = time.monotonic()
        wait_until(lambda: all("flowRunId" in one for one in statuses(prefix)) or None, "a run for each", 120, 2)
        record_property("all runs are made after", f"{time.monotonic() - started:.0f} s")
        proc = kubectl("exec", "-n", FLOWS, OPERATOR, "--", "cat", "/proc/1/status")
        rss_mib = int(next(line.split()[1] for line in proc.splitlines() if line.startswith("VmRSS"))) / 1024
        record_property("RSS of the operator", f"{rss_mib:.0f} MiB")
        assert rss_mib < RSS_MIB
        counts = [len(runs_of(cluster, uid_of(name))) for name in names]
        assert counts == [1] * OBJECTS


def statuses(prefix: str) -> list[dict[str, Any]]:
    found = json.loads(kubectl("get", "-n", FLOWS, "experiments", "-o", "json"))["items"]
    return [one.get("status") or {} for one in found if one["metadata"]["name"].startswith(prefix)]
