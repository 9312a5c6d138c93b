"""Experiments and ParameterSweeps on the cluster: each runs once, tells what became of it, and never hangs."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import yaml

from tests.cluster.kube import FLOWS, kubectl, wait_until
from tests.cluster.objects import (
    FINISHED,
    applied,
    custom,
    events_of,
    experiment,
    fresh,
    reasons,
    refusal,
    runs_of,
    status,
    uid_of,
    until_phase,
)
from tests.cluster.runs import Cluster, nowhere, pod_of
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.cluster


@pytest.mark.smoke
def test_ten_objects_run_once_each_and_tell_what_came_out(cluster: Cluster, months: tuple[str, ...]) -> None:
    prefix = fresh("ten")
    wanted = [experiment(f"{prefix}-{n}", dataSource=months[0], eps=0.05 * (n + 1)) for n in range(8)]
    wanted.append(judged_experiment(f"{prefix}-judged", months[0]))
    grid = {"adapter": "grid", "epsValues": [0.05, 0.1], "minSamplesValues": [10, 50]}
    sweep = {"dataSource": months[0], **grid, "resources": {"memory": "896Mi"}}
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
        assert judged["score"] == round(record["overall_score"], 4)
        assert swept["cells"] == {"total": 4, "done": 4, "failed": 0}
        assert swept["best"]["eps"] in grid["epsValues"]
        assert memory_of_cells(cluster, swept) == {"896Mi"}
        shown = kubectl("get", "-n", FLOWS, "experiments", f"{prefix}-judged").splitlines()
        assert shown[0].split() == ["NAME", "PHASE", "ADAPTER", "EPS", "MIN-SAMPLES", "CLUSTERS", "SCORE", "AGE"]
        assert shown[1].split()[1:6] == ["Succeeded", "grid", "0.1", "50", str(judged["clusters"])]


def memory_of_cells(cluster: Cluster, swept: dict[str, Any]) -> set[str]:
    """Limits of the pods that did a sweep's cells."""
    (record,) = cluster.records("sweeps", run_id_of(swept))
    pods = [pod_of(run.id) for run in cluster.children(record["id"])]
    return {container["resources"]["limits"]["memory"] for pod in pods for container in pod["spec"]["containers"]}


def judged_experiment(name: str, month: str) -> dict[str, Any]:
    """One with clusters enough to be scored."""
    return experiment(name, dataSource=month, evaluate=True, maxSamples=20000, adapter="grid")


def run_id_of(found: dict[str, Any]) -> Any:
    from uuid import UUID

    return UUID(found["flowRunId"])


REFUSED: list[tuple[str, dict[str, object], str]] = [
    ("Experiment", {}, "spec.dataSource: Required value"),
    ("Experiment", {"dataSource": ""}, "spec.dataSource"),
    ("Experiment", {"dataSource": "x\u0000"}, "spec.dataSource in body should match"),
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
    ("Experiment", {"dataSource": "x", "hours": "7-07"}, "hours names an empty span"),
    ("Experiment", {"dataSource": "x", "hours": "16-19, 07:30-7:30"}, "hours names an empty span"),
    ("Experiment", {"dataSource": "x", "hours": "25-3"}, "spec.hours in body should match"),
    ("Experiment", {"dataSource": "x", "weekdays": "someday"}, "spec.weekdays in body should match"),
    ("Experiment", {"dataSource": "x", "useLocationIds": "yes"}, "must be of type boolean"),
    ("Experiment", {"dataSource": "x", "ttlSecondsAfterFinished": -1}, "greater than or equal to 0"),
    ("Experiment", {"dataSource": "x", "resources": {"memory": "much"}}, "spec.resources.memory in body should match"),
    ("Experiment", {"dataSource": "x", "resources": {"gpu": 1}}, 'unknown field "spec.resources.gpu"'),
    (
        "Experiment",
        {"dataSource": "x", "resources": {"cpuRequest": "1500m", "cpuLimit": "1.2"}},
        "resources.cpuRequest is above resources.cpuLimit",
    ),
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
        gone = wait_until(lambda: not exists(name), "the end of its time", 60, 2)
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


def test_a_sweep_tells_why_a_pod_of_its_cells_died(months: tuple[str, ...]) -> None:
    cells = {"epsValues": [0.1, 0.2], "minSamplesValues": [50], "resources": {"memory": "120Mi"}}
    hungry = custom("ParameterSweep", fresh("hungry"), {"dataSource": months[1], "maxSamples": 50000, **cells})
    with applied(hungry) as (name,):
        assert until_phase(name, FINISHED)["phase"] == "Failed"
        assert "OOMKilled" in events_of(uid_of(name))


def test_an_image_that_is_nowhere_is_told(cluster: Cluster, months: tuple[str, ...], by_hand: dict[str, str]) -> None:
    with ExitStack() as changed:
        images = [
            changed.enter_context(nowhere(cluster, by_hand, deployment))
            for deployment in ("experiment_pipeline/default", "sweep_cells_flow/sequential")
        ]
        sweep = custom("ParameterSweep", fresh("nowhere"), {"dataSource": months[0], "epsValues": [0.1]})
        with applied(experiment(fresh("nowhere"), dataSource=months[0]), sweep) as names:
            for name, image in zip(names, images, strict=True):
                wait_until(partial(tells, name, "ImagePullBackOff"), f"the reason of {name}", 180, 2)
                assert image in status(name)["conditions"][0]["message"]


def tells(name: str, reason: str) -> bool:
    return reason in reasons(name) and reason in events_of(uid_of(name))


EXAMPLES = sorted((REPOSITORY / "examples" / "kubernetes").glob("*.yaml"))


@pytest.mark.smoke
def test_the_examples_succeed_and_kubectl_shows_it(months: tuple[str, ...]) -> None:
    """On a month that is there: one of the examples' own name would be the latest for the scheduled flows."""
    examples = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in EXAMPLES]
    for one in examples:
        one["metadata"]["namespace"], one["spec"]["dataSource"] = FLOWS, months[1]
    with applied(*examples) as names:
        kubectl("wait", "-n", FLOWS, "--for=condition=Succeeded", "--timeout=600s", *names, timeout_seconds=620)
        lines = [line.split() for line in kubectl("get", "-n", FLOWS, "experiments,parametersweeps").splitlines()]
        experiments, sweeps = (lines[at + 1] for at, line in enumerate(lines) if line[:1] == ["NAME"])
        assert lines[0] == ["NAME", "PHASE", "ADAPTER", "EPS", "MIN-SAMPLES", "CLUSTERS", "SCORE", "AGE"]
        assert experiments[1:5] == ["Succeeded", "grid", "0.1", "50"]
        assert experiments[5:7] == [str(status(names[0])[field]) for field in ("clusters", "score")]
        assert sweeps[1:6] == ["Succeeded", "grid", "12", "12", "0"]
