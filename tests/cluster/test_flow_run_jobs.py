"""Kubernetes refuses what a worker could be talked into: by job variables, or by an edited work pool or deployment."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError

from flows.operator.prefect.values import parse_values
from flows.operator.prefect.work_pools import load_work_pools
from flows.operator.worker.job import FlowRunJob
from tests.cluster.kube import FLOWS, get, kubectl, release
from tests.cluster.runs import Cluster
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.smoke]

WORKER = f"system:serviceaccount:{FLOWS}:worker"
Job = dict[str, Any]


def jobs_of_the_release() -> dict[str, Job]:
    """The Job that a worker makes of each work pool's template, by the pool's name."""
    client = create_autospec(PrefectClient, instance=True)
    found: dict[str, Job] = {}
    for pool in load_work_pools(REPOSITORY / "k8s" / "work-pools", parse_values(release(), "the release")):
        template = copy.deepcopy(pool.base_job_template)
        job = asyncio.run(FlowRunJob.from_template_and_values(template, {}, client=client))
        job.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-taxi"))
        found[pool.name] = job.job_manifest
    return found


def container_of(job: Job) -> Job:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def in_container(**fields: Any) -> Callable[[Job], None]:
    """A change of the container."""
    return lambda job: container_of(job).update(fields)


def in_pod(**fields: Any) -> Callable[[Job], None]:
    """A change of the pod's spec."""
    return lambda job: job["spec"]["template"]["spec"].update(fields)


def in_job(**fields: Any) -> Callable[[Job], None]:
    """A change of the Job's spec."""
    return lambda job: job["spec"].update(fields)


def in_metadata(**fields: dict[str, str]) -> Callable[[Job], None]:
    """A change of the pod's labels or annotations."""

    def change(job: Job) -> None:
        for field, added in fields.items():
            job["spec"]["template"]["metadata"].setdefault(field, {}).update(added)

    return change


def with_variable(**variable: Any) -> Callable[[Job], None]:
    """One more environment variable."""
    return lambda job: container_of(job)["env"].append(variable)


def secret(name: str) -> dict[str, Any]:
    """Where a variable may come from."""
    return {"secretKeyRef": {"name": name, "key": "auth-string"}}


REFUSED: dict[str, tuple[Callable[[Job], None], str]] = {
    "image": (in_container(image="registry.example/other"), "image registry.example/other is none of this release's"),
    "command": (in_container(command=["sh"]), "the command of a flow run's pod is fixed"),
    "args": (in_container(args=["sh", "-c", "true"]), "the command of a flow run's pod is fixed"),
    "account": (in_pod(serviceAccountName="operator"), "the service account of a flow run's pod is fixed"),
    "token": (in_pod(automountServiceAccountToken=True), "the service account of a flow run's pod is fixed"),
    "secrets": (
        in_container(envFrom=[{"secretRef": {"name": "sh.helm.release.v1.flows.v1"}}]),
        "a flow run's pod may read these Secrets alone",
    ),
    "map": (in_container(envFrom=[{"configMapRef": {"name": "x"}}]), "a flow run's pod may read these Secrets alone"),
    "key": (with_variable(name="TAXI_X", valueFrom=secret("prefect-auth")), "nothing but Prefect's password"),
    "preload": (with_variable(name="LD_PRELOAD", value="x.so"), "environment variables LD_PRELOAD are neither"),
    "component": (
        in_metadata(labels={"app.kubernetes.io/component": "operator"}),
        "the labels of a flow run's pod are fixed",
    ),
    "instance": (
        in_metadata(labels={"app.kubernetes.io/instance": "flows"}),
        "the labels of a flow run's pod are fixed",
    ),
    "annotation": (in_metadata(annotations={"x": "y"}), "a flow run's pod has no annotations"),
    "host-path": (in_pod(volumes=[{"name": "tmp", "hostPath": {"path": "/"}}]), "a flow run's pod has one volume"),
    "secret-volume": (
        in_pod(volumes=[{"name": "tmp", "secret": {"secretName": "prefect-auth"}}]),
        "a flow run's pod has one volume",
    ),
    "host-network": (in_pod(hostNetwork=True), "a flow run's pod shares nothing of its node"),
    "node": (in_pod(nodeName="taxi-test"), "a flow run's pod shares nothing of its node"),
    "root": (in_pod(securityContext={"runAsUser": 0}), "the security context of a flow run's pod is fixed"),
    "privileged": (
        in_container(securityContext={"privileged": True}),
        "the security context of a flow run's pod is fixed",
    ),
    "side": (
        lambda job: job["spec"]["template"]["spec"].update(initContainers=[{"name": "side", "image": "x"}]),
        "a flow run's pod has one container",
    ),
    "many": (in_job(parallelism=100, completions=100), "a flow run's Job starts one pod, once"),
    "retries": (in_job(backoffLimit=6), "a flow run's Job starts one pod, once"),
    "for-ever": (in_job(activeDeadlineSeconds=2**31), "a flow run's Job ends after"),
    "no-limits": (in_container(resources={}), "a flow run's pod has limits of CPU and memory"),
    "large-tmp": (
        in_pod(volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "1Ti"}}]),
        "of a flow run's pod is on disk and has at most",
    ),
}
"""What is changed of a Job of ours, and what Kubernetes says of it."""


def named(job: Job, name: str) -> Job:
    """The Job by a name of its own."""
    metadata = {key: value for key, value in job["metadata"].items() if key != "generateName"}
    return {**job, "metadata": {**metadata, "name": name}}


def created(jobs: list[Job], user: str) -> str:
    """What kubectl says of the creation of Jobs by a user; nothing is left of them."""
    items = {"apiVersion": "v1", "kind": "List", "items": jobs}
    arguments = ("create", "--dry-run=server", "--validate=false", "--as", user, "-n", FLOWS, "-f", "-")
    return kubectl(*arguments, stdin=json.dumps(items), check=False)


@pytest.mark.usefixtures("stack")
def test_a_worker_s_job_is_one_of_the_templates() -> None:
    jobs = jobs_of_the_release()
    said = created([named(job, f"ours-{pool}") for pool, job in jobs.items()], WORKER).splitlines()
    assert [line for line in said if "denied" in line] == []
    assert {f"job.batch/ours-{pool} created (server dry run)" for pool in jobs} <= set(said)
    changed = []
    for name, (change, _) in REFUSED.items():
        job = copy.deepcopy(jobs["sequential"])
        change(job)
        changed.append(named(job, f"changed-{name}"))
    refusals = created(changed, WORKER).splitlines()
    for name, (_, reason) in REFUSED.items():
        assert [line for line in refusals if f'"changed-{name}"' in line and reason in line], (name, refusals)
    assert not [line for line in refusals if "created" in line]


def test_prefect_refuses_a_run_that_asks_for_more_than_sizes(cluster: Cluster) -> None:
    before = {one["metadata"]["name"] for one in get(FLOWS, "jobs")}
    for variables in ({"command": "sh"}, {"labels": {"a": "b"}}, {"env": {"LD_PRELOAD": "x.so"}}):
        with pytest.raises(PrefectHTTPStatusError, match="422"):
            cluster.start("experiment_pipeline/default", {"data_source": "x.parquet"}, variables)
    other = cluster.start(
        "experiment_pipeline/default", {"data_source": "x.parquet"}, {"image": "registry.example/other"}
    )
    ended = cluster.finish(other.id, 90)
    assert ended.state is not None
    assert ended.state.is_crashed()
    assert "a run has the image of its deployment" in (ended.state.message or "")
    assert {one["metadata"]["name"] for one in get(FLOWS, "jobs")} == before
