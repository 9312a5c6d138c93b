"""Requests to the API server without the client's models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from threading import Event
from unittest.mock import create_autospec

import pytest
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.rest import RESTClientObject, RESTResponse
from kubernetes.config.incluster_config import InClusterConfigLoader
from urllib3 import HTTPResponse

from flows.core.errors import ClusterError
from flows.core.json_object import JsonObject
from flows.operator.cluster.api import BATCH, Api
from flows.operator.cluster.kube import COMPONENT, Cluster, Reference
from flows.operator.cluster.watch import watch_config_map
from flows.operator.faults import Faults
from flows.operator.resources.kube import Objects
from tests.unit.odd_server import ODD, Server, odd_server
from tests.unit.test_imports import REPOSITORY

Asked = tuple[str, str, dict[str, str], object, object]
ANSWER = b'{"metadata": {"name": "a"}}'


class Whole(BytesIO):
    """Closed at its end, as the body of an answer is."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.close()
        return content


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """Method, URL, headers, body and timeout of each request."""
    found: list[Asked] = []

    def request(
        _: object,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: object,
        _request_timeout: object,
        **_rest: object,
    ) -> RESTResponse:
        found.append((method, url, headers, body, _request_timeout))
        return RESTResponse(HTTPResponse(body=Whole(ANSWER), status=200, preload_content=False))

    monkeypatch.setattr(RESTClientObject, "request", request)
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    with odd_server() as server:
        yield server


def api_of(url: str) -> Api:
    configuration = Configuration()
    configuration.host, configuration.retries = url, False
    return Api(ApiClient(configuration))


def test_what_is_asked(asked: list[Asked]) -> None:
    api = api_of("http://k")
    api.read("n/s", "cronjobs", "a", BATCH)
    api.select("ns", "pods", {"labelSelector": "a/b", "fieldSelector": "status.phase!=Succeeded"})
    api.create("ns", "configmaps", {"data": {"a": "b"}})
    api.patch("ns", "configmaps", "c", {"data": {"a": "b"}})
    assert [one[:2] for one in asked] == [
        ("GET", "http://k/apis/batch/v1/namespaces/n%2Fs/cronjobs/a"),
        ("GET", "http://k/api/v1/namespaces/ns/pods?labelSelector=a/b&fieldSelector=status.phase%21%3DSucceeded"),
        ("POST", "http://k/api/v1/namespaces/ns/configmaps"),
        ("PATCH", "http://k/api/v1/namespaces/ns/configmaps/c"),
    ]
    assert [one[3] for one in asked] == [None, None, {"data": {"a": "b"}}, {"data": {"a": "b"}}]
    kinds = [one[2].get("Content-Type") for one in asked]
    assert kinds == [None, None, "application/json", "application/merge-patch+json"]
    assert {one[4] for one in asked} == {20}


def test_an_event_is_about_its_object(asked: list[Asked]) -> None:
    about = Reference("taxi.flows/v1alpha1", "Experiment", "ns", "a", "uid")
    Cluster(api_of("http://k")).post_event(about, "Began", "m" * 2000, warning=True)
    ((method, url, _, body, _),) = asked
    assert (method, url) == ("POST", "http://k/api/v1/namespaces/ns/events")
    assert isinstance(body, dict)
    assert body.pop("firstTimestamp") == body.pop("lastTimestamp")
    assert body == {
        "metadata": {"generateName": "a.", "namespace": "ns"},
        "involvedObject": {
            "apiVersion": "taxi.flows/v1alpha1",
            "kind": "Experiment",
            "namespace": "ns",
            "name": "a",
            "uid": "uid",
        },
        "reason": "Began",
        "message": "m" * 1024,
        "type": "Warning",
        "source": {"component": COMPONENT},
        "count": 1,
    }


def test_the_token_of_the_service_account_is_read_anew(asked: list[Asked], tmp_path: Path) -> None:
    token, certificate, configuration = tmp_path / "token", tmp_path / "ca.crt", Configuration()
    token.write_text("old")
    certificate.write_text("none is checked here")
    where = {"KUBERNETES_SERVICE_HOST": "k", "KUBERNETES_SERVICE_PORT": "443"}
    loader = InClusterConfigLoader(token, certificate, environ=where)  # type: ignore[no-untyped-call]
    loader._token_refresh_period = timedelta(0)
    loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    configuration.ssl_ca_cert = None
    api = Api(ApiClient(configuration))
    configuration.ssl_ca_cert = str(certificate)
    api.read("ns", "secrets", "a")
    token.write_text("new")
    api.read("ns", "secrets", "a")
    assert [one[2]["authorization"] for one in asked] == ["bearer old", "bearer new"]


ABOUT = Reference("v1", "ConfigMap", "ns", "a", "uid")


@pytest.mark.parametrize("odd", [*ODD])
@pytest.mark.parametrize(
    "ask",
    [
        lambda cluster: cluster.config_map("ns", "a"),
        lambda cluster: cluster.post_event(ABOUT, "Began", "m"),
        lambda cluster: Objects(cluster, "ns").troubles(),
    ],
    ids=["config map", "event", "pods"],
)
def test_an_answer_that_is_not_of_kubernetes(server: Server, odd: str, ask: Callable[[Cluster], object]) -> None:
    server.answer = ODD[odd]
    with pytest.raises(ClusterError):
        ask(Cluster(api_of(server.url)))


def test_the_watch_of_a_config_map(monkeypatch: pytest.MonkeyPatch, asked: list[Asked]) -> None:
    lines = [{"type": "ADDED", "object": {"metadata": {"resourceVersion": str(number)}}} for number in range(2)]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    monkeypatch.setattr("tests.unit.test_kubernetes_api.ANSWER", body)
    events = [*api_of("http://k").watch("ns", "configmaps", {"fieldSelector": "metadata.name=a"}, 300)]
    assert [event["object"] for event in events] == [line["object"] for line in lines]
    ((_, url, _, _, timeout),) = asked
    assert url.endswith("/configmaps?fieldSelector=metadata.name%3Da&watch=true&timeoutSeconds=300")
    assert timeout == (20, 320)


def test_a_new_version_of_a_config_map_wakes_whoever_waits_for_it() -> None:
    stop, seen = Event(), []
    api = create_autospec(Api, instance=True)
    watches = [["7"], ["7", "8", "9"], ["9"]]

    def watch(_: str, plural: str, query: dict[str, str], seconds: int) -> Iterator[JsonObject]:
        assert (plural, query, seconds) == (
            "configmaps",
            {"fieldSelector": "metadata.name=a", "resourceVersion": "0"},
            300,
        )
        if not watches:
            stop.set()
            return
        for version in watches.pop(0):
            yield {"type": "ADDED", "object": {"metadata": {"resourceVersion": version}}}
            seen.append(version)

    api.watch.side_effect = watch
    woken: list[list[str]] = []
    watch_config_map(Cluster(api), "ns", "a", lambda: woken.append([*seen]), Faults(), stop)
    assert stop.wait(10)
    assert woken == [["7", "7"], ["7", "7", "8"]], "at 8 and at 9"


def test_the_operator_imports_no_models_of_the_client() -> None:
    """They take 70 MiB, half of what everything else in the pod takes."""
    program = """
import sys
from kubernetes.client import ApiClient, Configuration
from flows.core.errors import ClusterError
from flows.operator.resources.kube import Objects
from flows.operator.cluster.api import Api
from flows.operator.cluster.backups import Backups
from flows.operator.faults import Faults
from flows.operator.cluster.kube import Cluster, Reference
configuration = Configuration()
configuration.host, configuration.retries = "http://127.0.0.1:1", False
cluster = Cluster(Api(ApiClient(configuration)))
objects = Objects(cluster, "ns")
about = Reference("v1", "ConfigMap", "ns", "a", "uid")
for ask in objects.all, objects.troubles, lambda: cluster.post_event(about, "Began", "m"):
    try:
        ask()
    except ClusterError:
        pass
Backups(cluster, "ns", Faults()).turn()
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    modules = set(done.stdout.split())
    assert {"flows.operator.resources.pods", "kubernetes.client.api_client"} <= modules
    groups = {name for name in modules if name.startswith("kubernetes.client.api.")}
    assert groups == {"kubernetes.client.api.custom_objects_api"}
    assert "kubernetes.client.models.v1_pod" not in modules
