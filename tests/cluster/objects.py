"""Experiments and ParameterSweeps as the tests make and read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.kube import FLOWS, apply, get, kubectl, wait_until
from tests.cluster.runs import Cluster

OPERATOR = "deployment/operator"
FINISHED = {"Succeeded", "Failed", "Cancelled"}


def experiment(name: str, **spec: object) -> dict[str, Any]:
    """An Experiment on a few points of a month."""
    wanted = {"eps": 0.1, "minSamples": 50, "maxSamples": 500, "evaluate": False, **spec}
    return custom("Experiment", name, wanted)


def custom(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, Any]:
    """An object of ours."""
    metadata = {"name": name, "namespace": FLOWS}
    return {"apiVersion": "taxi.flows/v1alpha1", "kind": kind, "metadata": metadata, "spec": dict(spec)}


def a_minute(months: tuple[str, ...]) -> dict[str, Any]:
    """A sweep that takes a minute or more."""
    cells = {"epsValues": [round(0.02 * n, 2) for n in range(1, 31)], "minSamplesValues": [5, 10, 20, 50]}
    return custom("ParameterSweep", fresh("long"), {"dataSource": months[0], **cells})


@contextmanager
def applied(*objects: dict[str, Any]) -> Iterator[list[str]]:
    """Objects that are there while it lasts, as `kind/name`."""
    names = [f"{one['kind'].lower()}/{one['metadata']['name']}" for one in objects]
    apply(*objects)
    try:
        yield names
    finally:
        kubectl("delete", "-n", FLOWS, "--ignore-not-found", "--wait=false", *names)


@contextmanager
def replicas(number: int) -> Iterator[None]:
    """With that many operators, and one again when it ends."""
    kubectl("scale", OPERATOR, "-n", FLOWS, f"--replicas={number}")
    try:
        kubectl("rollout", "status", OPERATOR, "-n", FLOWS, "--timeout=120s")
        yield
    finally:
        kubectl("scale", OPERATOR, "-n", FLOWS, "--replicas=1")


def operator_total(metric: str, pod: str = OPERATOR) -> float:
    """Sum of a metric's series, as an operator tells them itself, now."""
    ask = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9107/metrics').read().decode())"
    return sum_of(kubectl("exec", "-n", FLOWS, pod, "--", "python", "-c", ask), metric, {})


def sum_of(exposition: str, metric: str, labels: Mapping[str, str]) -> float:
    """Sum of those series of a metric that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    )


def fresh(prefix: str) -> str:
    """A name that no earlier test has used."""
    return f"{prefix}-{uuid4().hex[:6]}"


def status(name: str) -> dict[str, Any]:
    """The status of `kind/name`; empty before the operator has seen it."""
    found: dict[str, Any] = get(FLOWS, name).get("status") or {}
    return found


def until_phase(name: str, phases: set[str], timeout_seconds: float = 300) -> dict[str, Any]:
    """Wait until the object is in one of the phases; its status."""

    def look() -> dict[str, Any] | None:
        found = status(name)
        return found if found.get("phase") in phases else None

    return wait_until(look, f"{name} in {phases}", timeout_seconds, 2)


def runs_of(cluster: Cluster, uid: str) -> list[FlowRun]:
    """The flow runs that an object has."""
    tagged = FlowRunFilterTags(all_=[f"uid:{uid}"])
    return cluster.prefect.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tagged))


def uid_of(name: str) -> str:
    """Of `kind/name`."""
    return str(get(FLOWS, name)["metadata"]["uid"])


def reasons(name: str) -> set[str]:
    """Those that the conditions of `kind/name` give."""
    return {one["reason"] for one in status(name).get("conditions", [])}


def events_of(uid: str, namespace: str = FLOWS) -> list[str]:
    """Reasons of the Events of an object, the oldest first."""
    found = get(namespace, "events", f"--field-selector=involvedObject.uid={uid}")
    return [one["reason"] for one in sorted(found, key=lambda one: one["metadata"]["creationTimestamp"])]


def refusal(kind: str, spec: Mapping[str, object]) -> str:
    """What the API server says to an object, which is not made."""
    wanted = json.dumps(custom(kind, "refused", spec))
    return kubectl("apply", "--dry-run=server", "-f", "-", stdin=wanted, check=False)
