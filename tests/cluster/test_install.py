"""What `skaffold run` leaves on an empty cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.kube import FLOWS, PLATFORM, get, kubectl, pod, run, run_pod
from tests.cluster.runs import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("stack")]

WORKLOADS = {
    PLATFORM: {
        "statefulset/minio",
        "statefulset/postgresql",
        "deployment/prefect-server",
        "statefulset/prometheus-server",
        "statefulset/prometheus-pushgateway",
        "statefulset/grafana",
    },
    FLOWS: {
        "deployment/worker-sequential",
        "deployment/worker-parallel",
        "deployment/worker-coordinator",
        "deployment/operator",
        "statefulset/exporter",
    },
}


def workloads(namespace: str) -> list[Any]:
    return list(get(namespace, "deployments,statefulsets"))


@pytest.mark.smoke
@pytest.mark.parametrize("namespace", [PLATFORM, FLOWS])
def test_everything_declared_is_there_and_ready(namespace: str) -> None:
    found = workloads(namespace)
    assert {f"{one['kind'].lower()}/{one['metadata']['name']}" for one in found} == WORKLOADS[namespace]
    unready = [one["metadata"]["name"] for one in found if one["status"].get("readyReplicas", 0) != 1]
    assert unready == []


@pytest.mark.smoke
@pytest.mark.parametrize("namespace", [PLATFORM, FLOWS])
def test_a_privileged_pod_is_refused(namespace: str) -> None:
    privileged = pod("privileged", namespace, "docker.io/library/busybox:1.37", ["true"])
    privileged["spec"]["containers"][0]["securityContext"] |= {"privileged": True, "allowPrivilegeEscalation": True}
    answer = kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(privileged), check=False)
    assert 'violates PodSecurity "restricted' in answer


@pytest.mark.smoke
@pytest.mark.parametrize("namespace", [PLATFORM, FLOWS])
def test_no_container_was_killed_or_restarted_more_than_once(namespace: str) -> None:
    restarts = {
        f"{one['metadata']['name']}/{status['name']}": status["restartCount"]
        for one in get(namespace, "pods")
        for status in one["status"].get("containerStatuses", [])
    }
    assert {name: count for name, count in restarts.items() if count > 1} == {}


@pytest.mark.smoke
def test_images_are_those_that_were_built(cluster: Cluster) -> None:
    declared = {
        f"{flow.name}/{one.name}": one.job_variables["image"]
        for one in cluster.prefect.read_deployments()
        if (flow := cluster.prefect.read_flow(one.flow_id))
    }
    assert declared, "no deployment is registered"
    for name, image in declared.items():
        assert "taxi-flows-" in image, name
        tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
        assert tag not in {"", "latest"}, f"{name}: {image} has no tag of its own"
    server = get(PLATFORM, "deployment", "prefect-server")
    assert "taxi-flows-prefect:" in server["spec"]["template"]["spec"]["containers"][0]["image"]


@pytest.mark.smoke
def test_no_secret_lies_in_a_job_a_pod_or_a_config_map(environment: dict[str, str]) -> None:
    secrets = [value for name, value in environment.items() if name.endswith(("SECRET_KEY", "AUTH_STRING"))]
    assert len(secrets) == 2
    for namespace in (PLATFORM, FLOWS):
        shown = kubectl("get", "-n", namespace, "pods,jobs,deployments,statefulsets,configmaps,cronjobs", "-o", "json")
        assert [value for value in secrets if value in shown] == []


@pytest.mark.smoke
def test_the_api_server_takes_every_rendered_object() -> None:
    for release, namespace in (("platform", PLATFORM), ("flows", FLOWS)):
        manifest = run("helm", "get", "manifest", release, "-n", namespace)
        answer = kubectl("apply", "--dry-run=server", "-n", namespace, "-f", "-", stdin=manifest)
        assert len(answer.splitlines()) >= manifest.count("\nkind:")


PROBE = """
import socket, sys, time
deadline = time.monotonic() + 30
for name, wanted in zip(sys.argv[1::2], sys.argv[2::2]):
    host, port = name.split(":")
    found = ""
    while found != wanted and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            found = "reached"
        except OSError:
            found = "refused"
        time.sleep(0.2)
    print(name, found)
"""
"""Policies reach a new pod a moment after it starts: what is not yet as wanted is tried again for a while."""


@pytest.mark.smoke
def test_a_stranger_reaches_neither_minio_nor_postgres(environment: dict[str, str]) -> None:
    minio, postgres = "minio.taxi-platform.svc:9000", "postgresql.taxi-platform.svc:5432"
    wanted = {
        "stranger": {minio: "refused", postgres: "refused"},
        "flow-run": {minio: "reached", postgres: "refused"},
    }
    for who, outcomes in wanted.items():
        command = ["python", "-c", PROBE, *(word for pair in outcomes.items() for word in pair)]
        probe = pod(f"probe-{who}", FLOWS, environment["TAXI_IMAGE_EXPERIMENT"], command, labels_of(who))
        assert run_pod(probe)[1].splitlines() == [f"{name} {found}" for name, found in outcomes.items()], who


def labels_of(who: str) -> dict[str, str]:
    """Those that policies know a part by; of a stranger none."""
    return {} if who == "stranger" else {"app.kubernetes.io/component": who}
