"""Who may reach whom, by the policies alone, as Kubernetes reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.charts.charts import PLATFORM, REQUIRED, Object, Values, named, objects, pods

pytestmark = pytest.mark.charts

FLOWS = "taxi-flows"
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"


@dataclass(frozen=True)
class Pod:
    """A pod as policies see it."""

    namespace: str
    labels: tuple[tuple[str, str], ...]

    def fits(self, selector: Object) -> bool:
        """Whether a selector of labels takes it."""
        return set(selector.get("matchLabels", {}).items()) <= set(self.labels)


@dataclass(frozen=True)
class Network:
    """The policies of both namespaces."""

    policies: tuple[tuple[str, Object], ...]

    def passes(self, source: Pod, target: Pod, port: int) -> bool:
        """Whether a connection is let out by its source and in by its target."""
        return self._lets(source, target, port, "egress") and self._lets(target, source, port, "ingress")

    def _lets(self, pod: Pod, other: Pod, port: int, side: str) -> bool:
        specs = [
            policy["spec"]
            for namespace, policy in self.policies
            if namespace == pod.namespace
            and pod.fits(policy["spec"]["podSelector"])
            and side.capitalize() in policy["spec"]["policyTypes"]
        ]
        rules = [rule for spec in specs for rule in spec.get(side, [])]
        return not specs or any(self._takes(rule, pod.namespace, other, port, side) for rule in rules)

    @staticmethod
    def _takes(rule: Object, own: str, other: Pod, port: int, side: str) -> bool:
        if all(one["port"] != port for one in rule.get("ports", [{"port": port}])):
            return False
        peers = rule.get("to" if side == "egress" else "from")
        return peers is None or any(_is(peer, own, other) for peer in peers)


def _is(peer: Object, own: str, other: Pod) -> bool:
    wanted = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", own)
    return bool(wanted == other.namespace and other.fits(peer.get("podSelector", {})))


@pytest.fixture(scope="session")
def network(charts: Path) -> Network:
    rendered = [(PLATFORM, one) for one in objects(charts, REQUIRED["platform"])]
    rendered += [(FLOWS, one) for one in objects(charts, REQUIRED["flows"])]
    return Network(tuple((namespace, one) for namespace, one in rendered if one["kind"] == "NetworkPolicy"))


@pytest.fixture(scope="session")
def known(charts: Path) -> dict[str, Pod]:
    """Pods by the name of what makes them, a flow run and two strangers."""
    made = {
        one["metadata"]["name"]: Pod(namespace, tuple(pod["metadata"]["labels"].items()))
        for namespace, chart in ((PLATFORM, "platform"), (FLOWS, "flows"))
        for one, pod in pods(objects(charts, REQUIRED[chart]))
    }
    return made | {
        "flow-run": Pod(FLOWS, ((COMPONENT, "flow-run"), ("prefect.io/flow-run-id", "1"))),
        "stranger": Pod(FLOWS, ()),
        "neighbour": Pod(PLATFORM, ()),
        "outsider": Pod("default", ((COMPONENT, "flow-run"), (NAME, "prometheus"))),
        "dns": Pod("kube-system", (("k8s-app", "kube-dns"),)),
        "other-dns": Pod("default", (("k8s-app", "kube-dns"),)),
        "internet": Pod("", ()),
    }


PORTS = {
    "minio": 9000,
    "postgresql": 5432,
    "prefect-server": 4200,
    "prometheus-server": 9090,
    "prometheus-pushgateway": 9091,
    "grafana": 3000,
    "exporter": 9105,
    "operator": 9107,
}
MAY = {
    "minio": {"flow-run", "minio-setup", "postgresql-backup", "prometheus-server"},
    "postgresql": {"prefect-server", "postgresql-backup"},
    "prefect-server": {
        "flow-run",
        "worker-sequential",
        "worker-parallel",
        "worker-coordinator",
        "register",
        "operator",
        "exporter",
        "prometheus-server",
    },
    "prometheus-server": {"grafana"},
    "prometheus-pushgateway": {"flow-run", "postgresql-backup", "prometheus-server"},
    "grafana": {"prometheus-server"},
    "exporter": {"prometheus-server"},
    "operator": {"prometheus-server"},
}
WITH_API = {"worker-sequential", "worker-parallel", "worker-coordinator", "register", "operator"}
BY_NAME = WITH_API | {
    "flow-run",
    "minio-setup",
    "postgresql-backup",
    "exporter",
    "prefect-server",
    "prometheus-server",
    "grafana",
}


@pytest.mark.parametrize("target", sorted(PORTS))
def test_servers_are_reached_by_those_that_need_them_alone(
    network: Network, known: dict[str, Pod], target: str
) -> None:
    sources = {
        name for name, pod in known.items() if name != target and network.passes(pod, known[target], PORTS[target])
    }
    assert sources == MAY[target]


def test_the_console_is_for_people_alone(network: Network, known: dict[str, Pod]) -> None:
    assert [name for name, pod in known.items() if network.passes(pod, known["minio"], 9001)] == []


def test_names_are_looked_up_by_those_that_connect(network: Network, known: dict[str, Pod]) -> None:
    found = {name for name, pod in known.items() if pod.namespace in {PLATFORM, FLOWS}}
    assert {name for name in found if network.passes(known[name], known["dns"], 53)} == BY_NAME


@pytest.mark.parametrize("target", ["internet", "outsider", "stranger", "other-dns"])
def test_names_are_looked_up_at_the_dns_of_the_cluster_alone(
    network: Network, known: dict[str, Pod], target: str
) -> None:
    assert [name for name in BY_NAME if network.passes(known[name], known[target], 53)] == []


def test_another_cluster_says_where_its_dns_is(charts: Path) -> None:
    settings = (
        "global.dns.namespace=openshift-dns",
        "global.dns.port=5353",
        "global.dns.podLabels={dns=default}",
        "global.dns.addresses={169.254.20.10/32}",
    )
    policies = [("flows", "worker"), ("flows", "flow-run"), ("platform", "grafana")]
    for chart, policy in policies:
        rendered = objects(charts, Values(chart, REQUIRED[chart].files, settings))
        rule = named(rendered, "NetworkPolicy", policy)["spec"]["egress"][0]
        pods_of_dns, cache = rule["to"]
        assert pods_of_dns["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "openshift-dns"}
        assert pods_of_dns["podSelector"]["matchLabels"] == {"dns": "default"}
        assert cache == {"ipBlock": {"cidr": "169.254.20.10/32"}}
        assert {one["port"] for one in rule["ports"]} == {5353}


@pytest.mark.parametrize("port", [443, 6443])
def test_the_api_of_kubernetes_is_for_workers_registration_and_operator(
    network: Network, known: dict[str, Pod], port: int
) -> None:
    inside = {name: pod for name, pod in known.items() if pod.namespace in {PLATFORM, FLOWS}}
    assert {name for name, pod in inside.items() if network.passes(pod, known["internet"], port)} == WITH_API


def test_nobody_reaches_the_internet_otherwise(network: Network, known: dict[str, Pod]) -> None:
    inside = {name: pod for name, pod in known.items() if pod.namespace in {PLATFORM, FLOWS}}
    assert {name for name, pod in inside.items() if network.passes(pod, known["internet"], 80)} == set()


def test_nothing_connects_to_a_run_or_a_worker(network: Network, known: dict[str, Pod]) -> None:
    targets = ("flow-run", "worker-parallel", "register")
    assert not [name for name, pod in known.items() for target in targets if network.passes(pod, known[target], 8080)]


def test_without_policies_all_is_open(charts: Path, known: dict[str, Pod]) -> None:
    """The reading of policies itself: only those of a pod's own namespace bind it."""
    only = Network(((PLATFORM, named(objects(charts, REQUIRED["platform"]), "NetworkPolicy", "default-deny")),))
    assert not only.passes(known["flow-run"], known["minio"], 9000)
    assert only.passes(known["flow-run"], known["stranger"], 9000)
