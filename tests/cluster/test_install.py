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


@pytest.mark.smoke
def test_a_stranger_reaches_neither_minio_nor_postgres(environment: dict[str, str]) -> None:
    image = environment["TAXI_IMAGE_EXPERIMENT"]
    probe = (
        "import socket, sys\n"
        "for host, port in (('minio.taxi-platform.svc', 9000), ('postgresql.taxi-platform.svc', 5432)):\n"
        "    try:\n"
        "        socket.create_connection((host, port), timeout=5).close()\n"
        "        print(host, 'reached')\n"
        "    except OSError as error:\n"
        "        print(host, 'refused', type(error).__name__)\n"
    )
    reached = {
        who: run_pod(pod(f"probe-{who}", FLOWS, image, ["python", "-c", probe], labels))[1]
        for who, labels in (("stranger", {}), ("flow", {"app.kubernetes.io/component": "flow-run"}))
    }
    assert "reached" not in reached["stranger"]
    assert "minio.taxi-platform.svc reached" in reached["flow"]
    assert "postgresql.taxi-platform.svc refused" in reached["flow"]
