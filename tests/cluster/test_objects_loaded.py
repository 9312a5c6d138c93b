"""Many objects at once, and an operator that dies, is doubled or finds no server: each object runs once."""

from __future__ import annotations

import json
import random
import time
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows.operator.objects.controller import WRITES_PER_SECOND
from tests.cluster.faults import away
from tests.cluster.kube import FLOWS, get, kubectl, wait_until
from tests.cluster.objects import (
    FINISHED,
    OPERATOR,
    applied,
    experiment,
    fresh,
    runs_of,
    status,
    uid_of,
    until_phase,
)
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster


def test_while_prefect_is_away_the_status_says_so(cluster: Cluster, months: tuple[str, ...]) -> None:
    with ExitStack() as objects:
        with away("deployment/prefect-server"):
            (name,) = objects.enter_context(applied(experiment(fresh("patient"), dataSource=months[0])))
            wait_until(lambda: "PrefectUnavailable" in reasons(name) or None, "the reason", 90, 2)
            time.sleep(120)
            (pod,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
            assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
        assert until_phase(name, FINISHED)["phase"] == "Succeeded", "it is caught up with"
        assert len(runs_of(cluster, uid_of(name))) == 1


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
    writes, started = status_writes(), time.monotonic()
    with applied(*wanted) as names:
        applied_at = time.monotonic()
        wait_until(lambda: all("flowRunId" in one for one in statuses(prefix)) or None, "a run for each", 120, 2)
        record_property("all runs are made after", f"{time.monotonic() - applied_at:.0f} s")
        per_second = (status_writes() - writes) / (time.monotonic() - started)
        record_property("status writes", f"{per_second:.1f}/s")
        assert per_second <= WRITES_PER_SECOND
        for name in names:
            assert until_phase(name, FINISHED, 3600)["phase"] == "Succeeded"
        record_property("all have ended after", f"{time.monotonic() - applied_at:.0f} s")
        record_property("status writes for each object", f"{(status_writes() - writes) / OBJECTS:.1f}")
        proc = kubectl("exec", "-n", FLOWS, OPERATOR, "--", "cat", "/proc/1/status")
        rss_mib = int(next(line.split()[1] for line in proc.splitlines() if line.startswith("VmHWM"))) / 1024
        record_property("largest RSS of the operator", f"{rss_mib:.0f} MiB")
        assert rss_mib < RSS_MIB
        assert [len(runs_of(cluster, uid_of(name))) for name in names] == [1] * OBJECTS


def status_writes() -> float:
    """How often the API server was asked to change the status of an Experiment; none but the operator may."""
    families = text_string_to_metric_families(kubectl("get", "--raw", "/metrics"))
    wanted = {"group": "taxi.flows", "resource": "experiments", "subresource": "status"}
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "apiserver_request_total" and wanted.items() <= sample.labels.items()
    )


def statuses(prefix: str) -> list[dict[str, Any]]:
    found = json.loads(kubectl("get", "-n", FLOWS, "experiments", "-o", "json"))["items"]
    return [one.get("status") or {} for one in found if one["metadata"]["name"].startswith(prefix)]
