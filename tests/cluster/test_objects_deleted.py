"""Deleting an object, its definition, the release or the namespace hangs nowhere, and cancels what ran."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import httpx
import pytest

from tests.cluster.conftest import connected, skaffold
from tests.cluster.faults import away
from tests.cluster.kube import FLOWS, PLATFORM, apply, get, kubectl, run, wait_until
from tests.cluster.objects import (
    FINISHED,
    OPERATOR,
    a_minute,
    applied,
    custom,
    experiment,
    fresh,
    reasons,
    runs_of,
    status,
    uid_of,
    until_phase,
)
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster

CANCELLED_SECONDS = 60


@pytest.mark.parametrize("when", ["Pending", "Running", "Succeeded"])
def test_deleting_an_object_cancels_its_run_and_waits_for_nothing(
    cluster: Cluster, months: tuple[str, ...], when: str
) -> None:
    with applied(object_that_is(when, months)) as (name,):
        uid = uid_of(name)
        until_phase(name, {when})
        if when == "Pending":
            wait_until(lambda: "Unschedulable" in reasons(name), "a pod that finds no room", 60)
        started = time.monotonic()
        kubectl("delete", "-n", FLOWS, name, "--timeout=20s")
        assert time.monotonic() - started < 10
    if when != "Succeeded":
        wait_until(lambda: state_of(cluster, uid) in {"Cancelling", "Cancelled"}, "its end", CANCELLED_SECONDS)
    final = "Completed" if when == "Succeeded" else "Cancelled"
    wait_until(lambda: state_of(cluster, uid) == final, f"a run that is {final}", CANCELLED_SECONDS + 30, 2)


def object_that_is(when: str, months: tuple[str, ...]) -> dict[str, Any]:
    """An object that comes to a phase and, but for the last one, stays there."""
    if when == "Running":
        return a_minute(months)
    sizes = {"resources": {"cpuRequest": "64", "cpuLimit": "64"}} if when == "Pending" else {}
    return experiment(fresh("gone"), dataSource=months[0], **sizes)


def state_of(cluster: Cluster, uid: str) -> str | None:
    """Name of the state that an object's only run is in."""
    (run,) = runs_of(cluster, uid)
    return run.state_name


PARTS = {"the operator": (OPERATOR, FLOWS), "Prefect": ("deployment/prefect-server", PLATFORM)}
each_part = pytest.mark.parametrize("part", [None, *PARTS])


@contextmanager
def missing(part: str | None) -> Iterator[None]:
    """Without a part of the stack, and all its pods; None: all is there."""
    if part is None:
        yield
        return
    name, namespace = PARTS[part]
    labels = get(namespace, name)["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    with away(name, namespace):
        wait_until(lambda: not get(namespace, "pods", "-l", selector), f"the end of {part}", 90)
        yield


@pytest.mark.parametrize("part", PARTS)
def test_an_object_is_deleted_at_once_and_its_run_ends_once_all_is_back(
    cluster: Cluster, months: tuple[str, ...], part: str
) -> None:
    with applied(a_minute(months)) as (name,):
        uid = uid_of(name)
        until_phase(name, {"Running"})
        with missing(part):
            started = time.monotonic()
            kubectl("delete", "-n", FLOWS, name, "--timeout=20s")
            assert time.monotonic() - started < 10
    wait_until(lambda: ends_cancelled(cluster, uid), "the end of the run", CANCELLED_SECONDS + 60, 2)


def ends_cancelled(cluster: Cluster, uid: str, states: tuple[str, ...] = ("Cancelled",)) -> bool:
    """Whether the only run of an object has; False too while the forwarded port is opened anew."""
    try:
        return state_of(cluster, uid) in states
    except httpx.TransportError:
        return False


@contextmanager
def without(name: str) -> Iterator[None]:
    """Without a CRD, which comes back as Helm left it."""
    held = get("default", "crd", name)
    kubectl("delete", "crd", name, "--timeout=60s")
    try:
        yield
    finally:
        write_definition(held, held["spec"])
        kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


def write_definition(held: dict[str, Any], spec: dict[str, Any]) -> None:
    """Give a CRD a spec in Helm's name: what a stranger wrote would be a conflict at the next upgrade."""
    metadata = {key: held["metadata"][key] for key in ("name", "labels", "annotations")}
    wanted = {"apiVersion": held["apiVersion"], "kind": held["kind"], "metadata": metadata, "spec": spec}
    kubectl("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=json.dumps(wanted))


@each_part
def test_deleting_the_definition_never_hangs_and_cancels_what_ran(
    cluster: Cluster, months: tuple[str, ...], part: str | None
) -> None:
    apply(sweep := a_minute(months))
    name = f"parametersweep/{sweep['metadata']['name']}"
    uid = uid_of(name)
    until_phase(name, {"Running"})
    with ExitStack() as gone:
        with missing(part):
            gone.enter_context(without("parametersweeps.taxi.flows"))
        wait_until(lambda: ends_cancelled(cluster, uid), "the end of the run", CANCELLED_SECONDS + 60, 2)
        with applied(experiment(fresh("other"), dataSource=months[0])) as (other,):
            assert until_phase(other, FINISHED)["phase"] == "Succeeded", "the other kind goes on"
    with applied(custom("ParameterSweep", fresh("after"), SMALL | {"dataSource": months[0]})) as (name,):
        assert until_phase(name, FINISHED)["phase"] == "Succeeded", "the operator outlives it"


SMALL = {"adapter": "grid", "epsValues": [0.1], "minSamplesValues": [50], "maxSamples": 500}


def test_an_upgrade_of_the_definition_keeps_objects_and_their_runs(months: tuple[str, ...]) -> None:
    held = get("default", "crd", "parametersweeps.taxi.flows")
    later = deepcopy(held["spec"])
    fields = later["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["note"] = {"type": "string", "default": "later", "description": "A field of a later version."}
    done = custom("ParameterSweep", fresh("done"), SMALL | {"dataSource": months[0]})
    with ExitStack() as objects:  # one after the other: sweeps wait for each other
        names = objects.enter_context(applied(done))
        ended = until_phase(names[0], FINISHED)
        names += objects.enter_context(applied(a_minute(months)))
        runs = until_phase(names[1], {"Running"})
        uids = [uid_of(name) for name in names]
        write_definition(held, later)
        try:
            wait_until(lambda: get(FLOWS, names[1])["spec"].get("note") == "later", "the new field", 30)
            assert status(names[0]) == ended
            assert until_phase(names[1], FINISHED)["phase"] == "Succeeded"
        finally:
            write_definition(held, held["spec"])
        assert [uid_of(name) for name in names] == uids
        assert status(names[1])["flowRunId"] == runs["flowRunId"]


@each_part
def test_deleting_the_release_keeps_the_objects_and_hangs_nowhere(
    cluster: Cluster, months: tuple[str, ...], part: str | None
) -> None:
    with applied(a_minute(months)) as (name,):
        uid = uid_of(name)
        until_phase(name, {"Running"})
        try:
            with missing(part):
                run("helm", "uninstall", "flows", "-n", FLOWS, "--wait", "--timeout=120s", timeout_seconds=150)
                assert uid_of(name) == uid, "the definition stays, and so do objects"
                kubectl("delete", "-n", FLOWS, name, "--timeout=20s")
        finally:
            skaffold("run")
    wait_until(lambda: ends_cancelled(cluster, uid), "the end of the run", 2 * CANCELLED_SECONDS, 2)


@each_part
def test_deleting_the_namespace_hangs_nowhere(
    cluster: Cluster, months: tuple[str, ...], environment: Mapping[str, str], part: str | None
) -> None:
    apply(sweep := a_minute(months))
    name = f"parametersweep/{sweep['metadata']['name']}"
    uid = uid_of(name)
    until_phase(name, {"Running"})
    try:
        with missing(part):
            kubectl("delete", "namespace", FLOWS, "--timeout=180s", timeout_seconds=200)
    finally:
        skaffold("run")
    with connected(environment) as again:
        # A worker that still sees the pods go calls that a crash.
        ends = ("Cancelled", "Crashed")
        wait_until(lambda: ends_cancelled(again, uid, ends), "the end of the run", 2 * CANCELLED_SECONDS, 2)
    with applied(experiment(fresh("after"), dataSource=months[0])) as (name,):
        assert until_phase(name, FINISHED)["phase"] == "Succeeded"
