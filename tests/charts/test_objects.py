"""What holds for every object of every chart, whatever its values."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import kubernetes_validate
import pytest

from tests.charts.charts import (
    ALL,
    CI,
    REQUIRED,
    SOURCE,
    UMBRELLAS,
    Values,
    containers,
    each_chart,
    each_umbrella,
    each_values,
    env_of,
    helm,
    named,
    objects,
    pods,
)
from tests.charts.restricted import faults

pytestmark = pytest.mark.charts

KUBERNETES = "1.34"
WITH_TOKEN = {"worker-sequential", "worker-parallel", "worker-coordinator", "register", "operator"}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|AUTH|TOKEN|ACCESS_KEY|CONNECTION", re.IGNORECASE)


@each_values
def test_objects_fit_the_schema_of_kubernetes(charts: Path, values: Values) -> None:
    for one in objects(charts, values):
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize("values", [value for value in ALL if value.files], ids=str)
def test_helm_lints(charts: Path, values: Values) -> None:
    given = [word for file in values.files for word in ("--values", file)]
    done = helm("lint", "--strict", values.chart, *given, folder=charts)
    assert done.returncode == 0, done.stdout + done.stderr


@each_values
def test_pods_are_restricted(charts: Path, values: Values) -> None:
    found = {one["metadata"]["name"]: faults(pod) for one, pod in pods(objects(charts, values))}
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_what_is_not_restricted_is_noticed(charts: Path) -> None:
    _, good = next(pods(objects(charts, REQUIRED["minio"])))
    assert faults(good) == []
    bad = copy.deepcopy(good)
    bad["spec"]["hostNetwork"] = True
    bad["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    bad["spec"]["securityContext"] = {"runAsUser": 0}
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True, "capabilities": {"add": ["NET_RAW"]}}
    assert len(faults(bad)) == 9


@each_values
def test_containers_have_requests_and_limits(charts: Path, values: Values) -> None:
    for one, pod in pods(objects(charts, values)):
        for container in containers(pod):
            sides = container["resources"]
            where = f"{one['metadata']['name']}/{container['name']}"
            assert set(sides) == {"requests", "limits"}, where
            assert set(sides["requests"]) == set(sides["limits"]) == {"cpu", "memory"}, where


@each_values
def test_servers_and_workers_have_all_probes(charts: Path, values: Values) -> None:
    for one, pod in pods(objects(charts, values)):
        wanted = {"startupProbe", "livenessProbe", "readinessProbe"}
        for container in pod["spec"]["containers"]:
            there = wanted & set(container)
            assert there == (wanted if one["kind"] in {"Deployment", "StatefulSet"} else set()), container["name"]


@each_values
def test_tokens_and_service_variables_are_only_where_they_are_used(charts: Path, values: Values) -> None:
    for one, pod in pods(objects(charts, values)):
        name = one["metadata"]["name"]
        assert pod["spec"]["automountServiceAccountToken"] is (name in WITH_TOKEN), name
        assert pod["spec"]["enableServiceLinks"] is False, name
    accounts = [one for one in objects(charts, values) if one["kind"] == "ServiceAccount"]
    assert all(one["automountServiceAccountToken"] is False for one in accounts)


@each_values
def test_rights_end_at_the_namespace(charts: Path, values: Values) -> None:
    rendered = objects(charts, values)
    assert [one["kind"] for one in rendered if one["kind"].startswith("Cluster")] == []
    rules = [rule for one in rendered if one["kind"] == "Role" for rule in one["rules"]]
    assert [rule for rule in rules if "*" in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])] == []
    assert [rule for rule in rules if "secrets" in rule["resources"]] == []


@each_values
def test_charts_hold_no_secret(charts: Path, values: Values) -> None:
    rendered = objects(charts, values)
    assert [one["metadata"]["name"] for one in rendered if one["kind"] == "Secret"] == []
    for _, pod in pods(rendered):
        for container in containers(pod):
            plain = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
            # Where a Secret lies is no secret.
            suspects = {name for name in plain if SECRET_NAME.search(name) and not name.endswith(("_NAME", "_KEY"))}
            assert suspects <= {"MINIO_PROMETHEUS_AUTH_TYPE"}


@each_values
def test_objects_carry_the_labels_that_people_search_by(charts: Path, values: Values) -> None:
    for one in objects(charts, values):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "taxi-flows"
        wanted = {"name", "instance", "component", "managed-by", "version"}
        assert {f"app.kubernetes.io/{key}" for key in wanted} <= set(labels), one["metadata"]["name"]
        assert all(len(value) <= 63 for value in labels.values())


@each_values
def test_selectors_find_their_own_pods_alone(charts: Path, values: Values) -> None:
    templates = [(one["metadata"]["name"], pod["metadata"]["labels"]) for one, pod in pods(objects(charts, values))]
    for one in objects(charts, values):
        selector = one["spec"].get("selector") if "spec" in one else None
        if one["kind"] in {"Service", "Deployment", "StatefulSet"} and selector:
            wanted = selector.get("matchLabels", selector)
            found = [name for name, labels in templates if wanted.items() <= labels.items()]
            assert len(found) == 1, f"{one['kind']} {one['metadata']['name']} selects {found}"


@each_values
def test_pods_roll_when_their_files_change(charts: Path, values: Values) -> None:
    for one, pod in pods(objects(charts, values)):
        maps = [volume["configMap"]["name"] for volume in pod["spec"].get("volumes", []) if "configMap" in volume]
        checksums = [key for key in pod["metadata"].get("annotations", {}) if key.startswith("checksum/")]
        if one["kind"] in {"Deployment", "StatefulSet"}:
            assert len(checksums) == len(maps), one["metadata"]["name"]


@each_umbrella
def test_nothing_may_be_reached_unless_a_policy_says_so(charts: Path, chart: str) -> None:
    denied = named(objects(charts, REQUIRED[chart]), "NetworkPolicy", "default-deny")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("values", [value for value in ALL if value.chart in UMBRELLAS], ids=str)
def test_hooks_are_the_jobs_that_make_and_register(charts: Path, values: Values) -> None:
    hooks = [one for one in objects(charts, values) if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    assert [one["metadata"]["name"] for one in hooks] == [
        {"platform": "minio-setup", "flows": "register"}[values.chart]
    ]
    (hook,) = hooks
    assert hook["metadata"]["annotations"] == {
        "helm.sh/hook": "post-install,post-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    assert hook["spec"]["activeDeadlineSeconds"] <= 600
    assert hook["spec"]["backoffLimit"] <= 3


@each_chart
def test_each_set_of_values_says_what_it_tests(chart: str) -> None:
    files = [SOURCE / file for one in CI if one.chart == chart for file in one.files]
    assert files, f"no charts/{chart}/ci/*-values.yaml"
    assert [file.name for file in files if not file.read_text(encoding="utf-8").startswith("# ")] == []


def test_seconds_of_many_days_stay_whole_numbers(charts: Path) -> None:
    values = Values("prefect-server", ("prefect-server/ci/long-retention-values.yaml",))
    ((_, pod),) = pods(objects(charts, values))
    assert env_of(pod)["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == str(3650 * 86400)
