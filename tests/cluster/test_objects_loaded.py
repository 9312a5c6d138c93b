"""Many objects at once, and an operator that dies, is doubled or finds no server: each object runs once."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from flows.operator.cluster.kube import REQUESTS_PER_SECOND
from flows.telemetry.metrics import KUBERNETES_REQUESTS
from tests.cluster.faults import away
from tests.cluster.kube import FLOWS, apply, get, kubectl, pod, wait_until
from tests.cluster.objects import (
    FINISHED,
    OPERATOR,
    applied,
    experiment,
    fresh,
    operator_total,
    reasons,
    replicas,
    runs_of,
    sum_of,
    uid_of,
    until_phase,
)
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster


def test_while_prefect_is_away_the_status_says_so(cluster: Cluster, months: tuple[str, ...]) -> None:
    with ExitStack() as objects:
        with away("deployment/prefect-server"):
            (name,) = objects.enter_context(applied(experiment(fresh("patient"), dataSource=months[0])))
            wait_until(lambda: "PrefectUnavailable" in reasons(name), "the reason", 90, 2)
            time.sleep(120)
            (pod,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
            assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
        assert until_phase(name, FINISHED)["phase"] == "Succeeded", "it is caught up with"
        assert len(runs_of(cluster, uid_of(name))) == 1


KILLS = 4
KILLER = """
import os, random, signal, sys, time

def pids_of_operators():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\\0")
        except OSError:
            continue
        if "operate" in words and "--flows-namespace" in words:
            yield int(pid)

moments = random.Random(int(sys.argv[1]))
for kill in range(int(sys.argv[2])):
    while not (pids := list(pids_of_operators())):
        time.sleep(0.05)
    time.sleep(moments.uniform(0, 6))
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    print("killed", pids, flush=True)
    while set(pids) & set(pids_of_operators()):
        time.sleep(0.05)
"""
"""Runs beside the processes of the node: no SIGKILL from within a container reaches its first process."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_operator_that_is_killed_while_objects_come_starts_nothing_twice(
    cluster: Cluster, months: tuple[str, ...], environment: Mapping[str, str], seed: int
) -> None:
    moments, prefix = random.Random(seed), fresh("killed")  # noqa: S311  (no secret)
    killer = on_the_node(pod(prefix, "default", environment["TAXI_IMAGE_EXPERIMENT"], killing(seed)))
    with ExitStack() as objects:
        objects.callback(restart_operator)
        objects.callback(kubectl, "delete", "pod", prefix, "-n", "default", "--wait=false")
        apply(killer)
        names = []
        for n in range(30):
            names += objects.enter_context(applied(experiment(f"{prefix}-{n}", dataSource=months[0])))
            time.sleep(moments.uniform(0, 2))
        assert kubectl("logs", prefix, "-n", "default").count("killed") >= 2, "while objects came"
        wait_until(lambda: phase_of(prefix) == "Succeeded", f"{KILLS} kills", 300, 2)
        for name in names:
            until_phase(name, FINISHED, 900)
        assert [len(runs_of(cluster, uid_of(name))) for name in names] == [1] * 30
        (operator,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
        (container,) = operator["status"]["containerStatuses"]
        assert (container["restartCount"], container["lastState"]["terminated"]["exitCode"]) == (KILLS, 137)


def restart_operator() -> None:
    """A new pod has no restarts, and the old one is gone."""
    kubectl("rollout", "restart", OPERATOR, "-n", FLOWS)
    kubectl("rollout", "status", OPERATOR, "-n", FLOWS, "--timeout=180s")


def killing(seed: int) -> list[str]:
    return ["python", "-c", KILLER, str(seed), str(KILLS)]


def on_the_node(spec: dict[str, Any]) -> dict[str, Any]:
    """The pod as root among the processes of its node."""
    (container,) = spec["spec"]["containers"]
    kill = {"runAsUser": 0, "runAsNonRoot": False, "capabilities": {"drop": ["ALL"], "add": ["KILL"]}}
    return {**spec, "spec": {**spec["spec"], "hostPID": True, "containers": [{**container, "securityContext": kill}]}}


def phase_of(pod_name: str) -> str:
    return str(get("default", "pod", pod_name)["status"].get("phase"))


def test_two_operators_start_each_run_once(cluster: Cluster, months: tuple[str, ...]) -> None:
    prefix = fresh("two")
    wanted = [experiment(f"{prefix}-{n}", dataSource=months[0]) for n in range(6)]
    with replicas(2), applied(*wanted) as names:
        for name in names:
            assert until_phase(name, FINISHED, 400)["phase"] == "Succeeded"
        assert [len(runs_of(cluster, uid_of(name))) for name in names] == [1] * 6


RSS_MIB, OBJECTS = 250, 100


def test_a_hundred_objects_at_once(cluster: Cluster, months: tuple[str, ...], record_property: Any) -> None:
    prefix = fresh("hundred")
    wanted = [experiment(f"{prefix}-{n}", dataSource=months[0], evaluate=False) for n in range(OBJECTS)]
    writes, requests, started = status_writes(), operator_total(KUBERNETES_REQUESTS.name), time.monotonic()
    with applied(*wanted) as names:
        applied_at = time.monotonic()
        wait_until(lambda: all("flowRunId" in one for one in statuses(prefix)), "a run for each", 120, 2)
        record_property("all runs are made after", f"{time.monotonic() - applied_at:.0f} s")
        asked = operator_total(KUBERNETES_REQUESTS.name) - requests
        seconds = time.monotonic() - started
        record_property("status writes", f"{(status_writes() - writes) / seconds:.1f}/s")
        record_property("requests", f"{asked / seconds:.1f}/s")
        assert asked <= REQUESTS_PER_SECOND * seconds, "while it has most to do"
        for name in names:
            assert until_phase(name, FINISHED, 3600)["phase"] == "Succeeded"
        record_property("all have ended after", f"{time.monotonic() - applied_at:.0f} s")
        seconds = time.monotonic() - started
        asked = operator_total(KUBERNETES_REQUESTS.name) - requests
        record_property("requests, to the end", f"{asked / seconds:.1f}/s, {asked / OBJECTS:.1f} for each object")
        assert status_writes() - writes <= asked <= REQUESTS_PER_SECOND * seconds
        proc = kubectl("exec", "-n", FLOWS, OPERATOR, "--", "cat", "/proc/1/status")
        rss_mib = int(next(line.split()[1] for line in proc.splitlines() if line.startswith("VmHWM"))) / 1024
        record_property("largest RSS of the operator", f"{rss_mib:.0f} MiB")
        assert rss_mib < RSS_MIB
        assert [len(runs_of(cluster, uid_of(name))) for name in names] == [1] * OBJECTS


def status_writes() -> float:
    """How often the API server was asked to change the status of an Experiment; none but the operator may."""
    wanted = {"group": "taxi.flows", "resource": "experiments", "subresource": "status"}
    return sum_of(kubectl("get", "--raw", "/metrics"), "apiserver_request_total", wanted)


def statuses(prefix: str) -> list[dict[str, Any]]:
    found = json.loads(kubectl("get", "-n", FLOWS, "experiments", "-o", "json"))["items"]
    return [one.get("status") or {} for one in found if one["metadata"]["name"].startswith(prefix)]
