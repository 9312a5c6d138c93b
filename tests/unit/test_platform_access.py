"""Getting in: what `platform env`, `password` and `forward` read, print and refuse."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import create_autospec

import psutil
import pytest
from click.testing import CliRunner
from kubernetes.client import ApiException
from pydantic import JsonValue

from flows.cli import main
from flows.core.errors import ClusterError, ClusterRefusalError
from flows.operator.access.forward import forward
from flows.operator.access.people import LOGINS, SERVICES, environment, exports
from flows.operator.cluster import kube
from flows.operator.cluster.api import Api
from flows.operator.cluster.kube import Cluster
from flows.operator.kinds import Kind
from flows.operator.prefect.inventory import CONFIG_MAP, KEY, ConfigMapInventory, Inventory
from tests.unit.declarations import VALUES

SECRETS = {
    ("taxi-platform", "minio-people"): {"MINIO_ACCESS_KEY": "people", "MINIO_SECRET_KEY": "it's $ecret"},
    ("taxi-platform", "prefect-auth"): {"auth-string": "admin:hunter2"},
    ("taxi-platform", "grafana-admin"): {"admin-user": "admin", "admin-password": "hunter3"},
}


class Kubernetes:
    """The few calls of the API that are used, over dictionaries."""

    def __init__(self) -> None:
        self.secrets = {key: dict(data) for key, data in SECRETS.items()}
        self.config_maps = {("taxi-flows", "taxi-flows-platform"): {"platform.yaml": VALUES}}
        self.writes: list[str] = []

    def api(self) -> Api:
        api = create_autospec(Api, instance=True)
        api.read.side_effect = self.read
        api.create.side_effect = self.create
        api.patch.side_effect = self.patch
        assert isinstance(api, Api)
        return api

    def read(self, namespace: str, plural: str, name: str) -> bytes:
        if plural == "configmaps":
            data = _found(self.config_maps, namespace, name)
        else:
            secret = _found(self.secrets, namespace, name)
            data = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
        return json.dumps({"metadata": {"name": name}, "data": data}).encode()

    def create(self, namespace: str, plural: str, body: dict[str, dict[str, JsonValue]]) -> None:
        assert plural == "configmaps"
        labels = body["metadata"]["labels"]
        assert isinstance(labels, dict)
        assert labels["app.kubernetes.io/part-of"] == "taxi-flows"
        self.writes.append("create")
        data = {key: str(value) for key, value in body["data"].items()}
        self.config_maps[namespace, str(body["metadata"]["name"])] = data

    def patch(self, namespace: str, plural: str, name: str, body: dict[str, dict[str, str]]) -> None:
        assert plural == "configmaps"
        self.writes.append("patch")
        self.config_maps[namespace, name].update(body["data"])


def _found(kept: dict[tuple[str, str], dict[str, str]], namespace: str, name: str) -> dict[str, str]:
    if (namespace, name) not in kept:
        raise ApiException(status=404, reason="Not Found")
    return kept[namespace, name]


@pytest.fixture
def kubernetes(monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
    """The cluster of the current context."""
    held = Kubernetes()
    monkeypatch.setattr(kube, "connect", lambda context=None: Cluster(held.api()))
    return held


def test_env_is_what_a_shell_understands(kubernetes: Kubernetes) -> None:
    done = CliRunner().invoke(main, ["platform", "env"])
    assert done.exit_code == 0, done.output
    shell = subprocess.run(
        [
            "sh",
            "-c",
            f'set -eu\nunset MINIO_SECRET_KEY\neval "$(cat)"\n{sys.executable} -c "import os; print(dict(os.environ))"',
        ],
        input=done.stdout,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    found: dict[str, str] = eval(shell.stdout)  # noqa: S307
    assert {name: value for name, value in found.items() if name.startswith(("PREFECT", "MINIO", "TAXI", "PUSH"))} == {
        "PREFECT_API_URL": "http://localhost:4200/api",
        "PREFECT_API_AUTH_STRING": "admin:hunter2",
        "MINIO_ENDPOINT": "localhost:9000",
        "MINIO_ACCESS_KEY": "people",
        "MINIO_SECRET_KEY": "it's $ecret",
        "MINIO_SECURE": "false",
        "PUSHGATEWAY_URL": "http://localhost:9091",
        "TAXI_IMAGE_EXPERIMENT": "registry/experiment:1",
        "TAXI_IMAGE_EVALUATION": "registry/evaluation:1",
        "TAXI_IMAGE_SWEEP": "registry/sweep:1",
        "TAXI_IMAGE_AGGREGATE": "registry/aggregate:1",
    }


@pytest.mark.parametrize(
    ("service", "password", "user"),
    [
        ("grafana", "hunter3", "admin"),
        ("minio", "it's $ecret", "people"),
        ("prefect", "admin:hunter2", "user:password"),
    ],
)
def test_a_password_alone_on_stdout(kubernetes: Kubernetes, service: str, password: str, user: str) -> None:
    done = CliRunner().invoke(main, ["platform", "password", service])
    assert done.stdout == f"{password}\n"
    assert user in done.stderr


def test_every_service_has_a_password_command() -> None:
    done = CliRunner().invoke(main, ["platform", "password", "nothing"])
    assert done.exit_code == 2
    assert all(service in done.stderr for service in LOGINS)


@pytest.mark.parametrize("arguments", [["env"], ["password", "prefect"]], ids=" ".join)
def test_a_secret_that_is_missing(kubernetes: Kubernetes, arguments: list[str]) -> None:
    del kubernetes.secrets["taxi-platform", "prefect-auth"]
    done = CliRunner().invoke(main, ["platform", *arguments])
    assert (done.exit_code, done.stdout) == (1, ""), "nothing that a shell would take"
    assert "no Secret prefect-auth in the namespace taxi-platform" in done.stderr
    assert "skaffold run" in done.stderr


def test_a_secret_without_its_key(kubernetes: Kubernetes) -> None:
    kubernetes.secrets["taxi-platform", "minio-people"].pop("MINIO_SECRET_KEY")
    with pytest.raises(ClusterError, match="Secret minio-people has no key MINIO_SECRET_KEY"):
        environment(Cluster(kubernetes.api()))


def test_values_are_quoted() -> None:
    assert exports({"A": "a b'c"}) == """export A='a b'"'"'c'"""


@pytest.fixture
def no_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.mark.usefixtures("no_kubeconfig")
def test_no_kube_context() -> None:
    done = CliRunner().invoke(main, ["platform", "env"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no kube context" in done.stderr
    assert "make up" in done.stderr


def test_the_package_kubernetes_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    done = CliRunner().invoke(main, ["platform", "env"])
    assert done.exit_code == 1
    assert "pip install 'taxi-flows[operator]'" in done.stderr


def test_a_cluster_that_refuses() -> None:
    api = create_autospec(Api, instance=True)
    api.read.side_effect = ApiException(status=403, reason="Forbidden")
    with pytest.raises(ClusterError, match="refuses Secret a in the namespace b: HTTP 403 Forbidden"):
        Cluster(api).secret("b", "a")


@pytest.mark.parametrize(
    ("status", "of_this_one"), [(401, False), (403, True), (422, True), (429, False), (500, False)]
)
def test_a_refusal_of_one_request_is_told_from_one_of_all(status: int, of_this_one: bool) -> None:
    api = create_autospec(Api, instance=True)
    api.read.side_effect = ApiException(status=status, reason="no")
    with pytest.raises(ClusterError) as raised:
        Cluster(api).secret("b", "a")
    assert isinstance(raised.value, ClusterRefusalError) is of_this_one


def test_an_inventory_in_the_cluster(kubernetes: Kubernetes) -> None:
    store = ConfigMapInventory(Cluster(kubernetes.api()), "taxi-flows")
    empty = store.read()
    assert empty == Inventory()
    one = Inventory.of([(Kind.DEPLOYMENT, "flow/default"), (Kind.WORK_POOL, "sequential")])
    store.write(one, before=empty)
    assert store.read() == one
    store.write(one, before=one)
    store.write(Inventory(), before=one)
    assert kubernetes.writes == ["create", "patch"]
    assert store.read() == Inventory()
    assert set(kubernetes.config_maps["taxi-flows", CONFIG_MAP]) == {KEY}


@pytest.fixture
def taken_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr("flows.operator.access.forward.SERVICES", (type(SERVICES[0])("grafana", 80, port),))
        yield port


def test_a_port_that_is_taken(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    with pytest.raises(ClusterError, match=rf"port {taken_port} \(grafana\) is taken"):
        forward(None, "taxi-platform", print)


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ClusterError, match="kubectl is not on PATH"):
        forward(None, "taxi-platform", print)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_the_forwards_end_with_the_command(how: signal.Signals, tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nexec sleep 600\n")
    kubectl.chmod(0o755)
    program = (
        "import psutil\n"
        "from flows.operator.access import forward\n"
        "from flows.operator.access.people import Service\n"
        "forward.SERVICES = (Service('a', 80, 0), Service('b', 80, 0))\n"
        "pids = lambda: [child.pid for child in psutil.Process().children()]\n"
        "forward.forward(None, 'x', lambda line: line.startswith('Ctrl-C') and print(*pids(), flush=True))\n"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        children = [psutil.Process(int(pid)) for pid in command.stdout.readline().split()]
        command.send_signal(how)
        assert command.wait(60) == 128 + how
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
