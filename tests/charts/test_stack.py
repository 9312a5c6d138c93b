"""The stack as a whole: images, sizes, who may reach whom, and what registration is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

from flows import __version__
from flows.operator.service import STUCK_AFTER_SECONDS
from scripts.telemetry.alerts import ALERTS
from tests.charts.charts import (
    PLATFORM,
    REQUIRED,
    SMALL,
    SOURCE,
    Object,
    Values,
    containers,
    env_of,
    named,
    objects,
    pods,
)
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.charts

FLOWS = "taxi-flows"
ALERTED = [alert for group in ALERTS.values() for alert in group]
UPSTREAM = {"minio", "postgres", "prometheus", "pushgateway", "grafana"}
OWN = {"prefect-server", "platform", "flows"}
CPUS, GIBIBYTES = 2, 6


def chart_yaml(chart: str) -> Any:
    return yaml.safe_load((SOURCE / chart / "Chart.yaml").read_text(encoding="utf-8"))


def images_in_values() -> dict[str, set[str]]:
    """Repository of each image that a values.yaml names -> the references."""
    found: dict[str, set[str]] = {}
    for file in SOURCE.glob("*/values.yaml"):
        for reference in re.findall(r"mage: (\S+/\S+:\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(reference.rpartition(":")[0], set()).add(reference)
    return found


def test_an_image_has_one_version_in_all_charts() -> None:
    found = images_in_values()
    assert len(found) == 7
    assert {name: references for name, references in found.items() if len(references) > 1} == {}


def test_images_are_named_with_registry_and_exact_tag() -> None:
    for (reference,) in images_in_values().values():
        assert "." in reference.partition("/")[0], f"{reference} names no registry"
        assert re.search(r"\d", reference.rpartition(":")[2]), f"{reference} moves"


@pytest.mark.parametrize("chart", sorted(UPSTREAM))
def test_the_version_of_a_chart_is_that_of_its_image(chart: str) -> None:
    values = yaml.safe_load((SOURCE / chart / "values.yaml").read_text(encoding="utf-8"))
    assert values["image"].rpartition(":")[2] == chart_yaml(chart)["appVersion"]


@pytest.mark.parametrize("chart", sorted(OWN))
def test_the_version_of_our_own_is_that_of_the_package(chart: str) -> None:
    assert chart_yaml(chart)["appVersion"] == __version__


def images_of(rendered: Iterable[Object]) -> set[str]:
    return {container["image"] for _, pod in pods(tuple(rendered)) for container in containers(pod)}


def test_pods_run_the_images_of_the_values(charts: Path) -> None:
    own = "registry.example/taxi-flows-prefect:1"
    upstream = {reference for references in images_in_values().values() for reference in references}
    assert images_of(objects(charts, REQUIRED["platform"])) == upstream | {own}
    others = {f"registry.example/taxi-flows-{name}:1" for name in ("operator", "exporter")}
    assert images_of(objects(charts, REQUIRED["flows"])) == {own, *others}


def platform_yaml(charts: Path, values: Values) -> Any:
    return yaml.safe_load(named(objects(charts, values), "ConfigMap", "taxi-flows-platform")["data"]["platform.yaml"])


def test_registration_is_told_what_the_values_say(charts: Path) -> None:
    values = yaml.safe_load((SOURCE / "flows" / "values.yaml").read_text(encoding="utf-8"))
    assert platform_yaml(charts, REQUIRED["flows"]) == {
        "namespace": FLOWS,
        "images": {
            name: f"registry.example/taxi-flows-{name}:1" for name in ("experiment", "evaluation", "sweep", "aggregate")
        },
        "imagePullPolicy": "IfNotPresent",
        "environment": values["environment"],
        "secrets": ["minio-flows"],
        "workPools": values["workPools"],
        "pendingLimitSeconds": values["pendingLimitSeconds"],
    }


def test_runs_may_have_no_environment_and_no_secret(charts: Path) -> None:
    told = platform_yaml(charts, Values("flows", ("flows/ci/no-environment-values.yaml",)))
    assert (told["environment"], told["secrets"]) == ({}, [])


def test_registration_reads_what_it_is_told(charts: Path) -> None:
    pod = named(objects(charts, REQUIRED["flows"]), "Job", "register")["spec"]["template"]
    environment = env_of(pod)
    folder, _, file = environment["TAXI_PLATFORM_FILE"].rpartition("/")
    assert {"name": "platform", "mountPath": folder, "readOnly": True} in pod["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "platform", "configMap": {"name": "taxi-flows-platform"}} in pod["spec"]["volumes"]
    assert file == "platform.yaml"
    assert pod["spec"]["containers"][0]["command"] == ["taxi-flows", "platform", "apply"]
    assert pod["spec"]["serviceAccountName"] == "operator"


def test_the_operator_knows_within_a_minute_that_the_server_does_not_answer(charts: Path) -> None:
    deployment = named(objects(charts, REQUIRED["flows"]), "Deployment", "operator")
    environment = env_of(deployment["spec"]["template"])
    retries = int(environment["PREFECT_CLIENT_MAX_RETRIES"])
    timeout_seconds = float(environment["PREFECT_API_REQUEST_TIMEOUT"])
    pauses_seconds = sum(1.2 * 2**tried for tried in range(1, retries + 1))  # 0.2 is Prefect's jitter
    assert (retries + 1) * timeout_seconds + pauses_seconds <= 60 < STUCK_AFTER_SECONDS


def test_each_work_pool_has_one_worker(charts: Path) -> None:
    rendered = objects(charts, REQUIRED["flows"])
    workers = [one for one in rendered if one["kind"] == "Deployment" and one["metadata"]["name"] != "operator"]
    pools = platform_yaml(charts, REQUIRED["flows"])["workPools"]
    assert {one["metadata"]["name"] for one in workers} == {f"worker-{pool}" for pool in pools}
    for one in workers:
        spec = one["spec"]
        pool = one["metadata"]["name"].removeprefix("worker-")
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        assert spec["template"]["spec"]["containers"][0]["command"] == [
            "python",
            "-m",
            "flows.operator.worker",
            pool,
        ]
        assert spec["template"]["spec"]["serviceAccountName"] == "worker"


def test_jobs_refer_to_the_secret_of_the_api_instead_of_holding_it(charts: Path) -> None:
    pod = named(objects(charts, REQUIRED["flows"]), "Deployment", "worker-parallel")["spec"]["template"]
    environment = env_of(pod)
    prefix = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET"
    reference = {"name": environment[f"{prefix}_NAME"], "key": environment[f"{prefix}_KEY"]}
    assert environment["PREFECT_API_AUTH_STRING"] == {"secretKeyRef": reference}
    assert environment["PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES"] == FLOWS


def quantity(text: str) -> float:
    """What a Kubernetes quantity stands for."""
    return float(parse_quantity(text))  # type: ignore[no-untyped-call]


def requests(pod: Object) -> tuple[float, float]:
    """CPUs and bytes that the scheduler sets aside for a pod: its containers, or its largest init container."""
    asked = [
        [quantity(one["resources"]["requests"][what]) for one in pod["spec"].get(kind, [])]
        for what in ("cpu", "memory")
        for kind in ("containers", "initContainers")
    ]
    cpu, first_cpu, memory, first_memory = asked
    return max(sum(cpu), *first_cpu, 0), max(sum(memory), *first_memory, 0)


def standing(charts: Path) -> list[tuple[float, float]]:
    """Requests of every pod of the small stack that stays."""
    both = (*objects(charts, SMALL["platform"]), *objects(charts, SMALL["flows"]))
    return [requests(pod) for one, pod in pods(both) if one["kind"] in {"Deployment", "StatefulSet"}]


def runs(charts: Path, at_once: bool) -> list[tuple[float, float]]:
    """Requests of one run of each small work pool, or of as many as their limits let run at once."""
    return [
        (quantity(pool["cpuRequest"]), quantity(pool["memory"]))
        for pool in platform_yaml(charts, SMALL["flows"])["workPools"].values()
        for _ in range(pool["concurrencyLimit"] if at_once else 1)
    ]


@pytest.mark.parametrize("at_once", [False, True], ids=["one run of each pool", "as many as may run at once"])
def test_the_small_stack_fits_a_small_node(charts: Path, at_once: bool) -> None:
    asked = [*standing(charts), *runs(charts, at_once)]
    assert len(standing(charts)) == 11
    assert sum(cpu for cpu, _ in asked) <= CPUS
    assert sum(memory for _, memory in asked) <= GIBIBYTES * 2**30


def test_the_small_work_pools_are_as_stated(charts: Path) -> None:
    pools = platform_yaml(charts, SMALL["flows"])["workPools"]
    sizes = {name: (one["cpuRequest"], one["cpuLimit"], one["concurrencyLimit"]) for name, one in pools.items()}
    assert sizes == {"sequential": ("250m", "1", 2), "parallel": ("500m", "2", 1), "coordinator": ("50m", "1", 2)}


def test_rules_reach_prometheus_as_they_are(charts: Path) -> None:
    rendered = objects(charts, REQUIRED["prometheus"])
    files = {file.name: file.read_text(encoding="utf-8") for file in (SOURCE / "prometheus/files/rules").iterdir()}
    assert named(rendered, "ConfigMap", "prometheus-rules")["data"] == files
    assert all(group["rules"] for text in files.values() for group in yaml.safe_load(text)["groups"])
    config = yaml.safe_load(named(rendered, "ConfigMap", "prometheus-server")["data"]["prometheus.yaml"])
    pod = named(rendered, "StatefulSet", "prometheus-server")["spec"]["template"]["spec"]
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert config["rule_files"] == [f"{mounts['rules']}/*.yaml"]


def test_a_changed_rule_starts_prometheus_anew(charts: Path) -> None:
    def annotations() -> Object:
        rendered = objects.__wrapped__(charts, REQUIRED["prometheus"])
        server = named(rendered, "StatefulSet", "prometheus-server")
        return dict(server["spec"]["template"]["metadata"]["annotations"])

    before = annotations()
    file = charts / "prometheus/files/rules/alerts.yaml"
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(text.replace("MinIO does not answer", "No answer from MinIO"), encoding="utf-8")
        assert annotations() != before
    finally:
        file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("kind", ["prometheus-rules", "grafana-alerting"])
def test_alerts_wait_and_link_as_the_values_say(charts: Path, kind: str) -> None:
    links = ("global.prefectUiUrl=https://prefect.example", "global.docsUrl=https://docs.example/taxi")
    set_to = Values("platform", REQUIRED["platform"].files, ("global.alertFor=15s", *links))
    plain = "".join(named(objects(charts, REQUIRED["platform"]), "ConfigMap", kind)["data"].values())
    shown = "".join(named(objects(charts, set_to), "ConfigMap", kind)["data"].values())
    assert plain.count("http://localhost:4200") == shown.count("https://prefect.example") > 0
    assert plain.count("http://localhost:8000/") == shown.count("https://docs.example/taxi/") == len(ALERTED)
    waits = [line.strip() for line in shown.splitlines() if line.strip().startswith("for:")]
    assert len(waits) == len(ALERTED)
    assert set(waits) == {"for: 15s"}


def test_nobody_is_notified_unless_asked_for(charts: Path) -> None:
    data = named(objects(charts, REQUIRED["grafana"]), "ConfigMap", "grafana-alerting")["data"]
    assert set(data) == {"rules.yaml"}


def test_alerts_go_to_a_contact_point_that_exists(charts: Path) -> None:
    values = Values("grafana", ("grafana/ci/notifications-values.yaml",))
    rendered = objects(charts, values)
    told = yaml.safe_load(named(rendered, "ConfigMap", "grafana-alerting")["data"]["notifications.yaml"])
    (point,), (policy,) = told["contactPoints"], told["policies"]
    assert policy["receiver"] == point["name"]
    assert {one["type"] for one in point["receivers"]} == {"webhook", "slack", "email"}
    assert len({one["uid"] for one in point["receivers"]}) == 3
    (container,) = named(rendered, "StatefulSet", "grafana")["spec"]["template"]["spec"]["containers"]
    given = {one["name"] for one in container["env"]}
    assert set(re.findall(r"\$(\w+)", str(point))) <= given


def test_targets_are_services_and_labels_of_pushes_stay(charts: Path) -> None:
    rendered = objects(charts, REQUIRED["platform"])
    services = {one["metadata"]["name"]: one["spec"]["ports"][0] for one in rendered if one["kind"] == "Service"}
    for name in ("exporter", "operator"):
        there = named(objects(charts, REQUIRED["flows"]), "Service", name)
        services[f"{name}.{FLOWS}.svc"] = there["spec"]["ports"][0]
    config = yaml.safe_load(named(rendered, "ConfigMap", "prometheus-server")["data"]["prometheus.yaml"])
    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    targets = {name: one["static_configs"][0]["targets"][0] for name, one in jobs.items() if name != "prometheus"}
    for target in targets.values():
        name, _, port = target.partition(":")
        assert services[name]["port"] == int(port)
    assert jobs["pushgateway"]["honor_labels"] is True
    assert "basic_auth" in jobs["prefect-server"]


STATEMENTS = {
    "flows": {
        "s3:GetObject": {"taxi-data/*", "taxi-experiments/*"},
        "s3:PutObject": {"taxi-experiments/*"},
        "s3:DeleteObject": {"taxi-experiments/*"},
        "s3:AbortMultipartUpload": {"taxi-experiments/*"},
        "s3:ListBucket": {"taxi-data", "taxi-experiments"},
        "s3:GetBucketLocation": {"taxi-data", "taxi-experiments"},
    },
    "people": {
        "s3:GetObject": {"taxi-data/*", "taxi-experiments/*"},
        "s3:PutObject": {"taxi-data/*"},
        "s3:DeleteObject": {"taxi-data/*"},
        "s3:AbortMultipartUpload": {"taxi-data/*"},
        "s3:ListBucket": {"taxi-data", "taxi-experiments"},
        "s3:GetBucketLocation": {"taxi-data", "taxi-experiments"},
    },
    "backup": {
        "s3:GetObject": set(),
        "s3:PutObject": {"taxi-backups/*"},
        "s3:DeleteObject": set(),
        "s3:AbortMultipartUpload": {"taxi-backups/*"},
        "s3:ListBucket": {"taxi-backups"},
        "s3:GetBucketLocation": {"taxi-backups"},
    },
}


@pytest.mark.parametrize("user", sorted(STATEMENTS))
def test_users_of_the_store_have_the_rights_that_they_need_alone(charts: Path, user: str) -> None:
    data = named(objects(charts, REQUIRED["minio"]), "ConfigMap", "minio-setup")["data"]
    statements = json.loads(data[f"policy-{user}.json"])["Statement"]
    denied = [one for one in statements if one["Effect"] == "Deny"]
    assert [one["Action"] for one in denied] == [["s3:DeleteObjectVersion"]]
    assert denied[0]["Resource"] == ["arn:aws:s3:::*"], "else MinIO lets who may delete an object delete its versions"
    statements = [one for one in statements if one["Effect"] == "Allow"]
    assert not [one for one in statements if "*" in str(one["Action"])]
    granted = {
        action: {
            resource.removeprefix("arn:aws:s3:::")
            for one in statements
            if action in one["Action"]
            for resource in one["Resource"]
        }
        for action in STATEMENTS[user]
    }
    assert granted == STATEMENTS[user]


def lifecycles_of(charts: Path) -> dict[str, list[Any]]:
    """Rules of each bucket's lifecycle."""
    data = named(objects(charts, REQUIRED["minio"]), "ConfigMap", "minio-setup")["data"]
    files = {name: text for name, text in data.items() if name.startswith("lifecycle-")}
    return {name[len("lifecycle-") : -len(".json")]: json.loads(text)["Rules"] for name, text in files.items()}


def test_only_dumps_and_labels_of_comparisons_expire(charts: Path) -> None:
    expiring = {
        bucket: [(rule["Filter"], rule["Expiration"]["Days"]) for rule in rules if "Days" in rule.get("Expiration", {})]
        for bucket, rules in lifecycles_of(charts).items()
    }
    labels = {"Tag": {"Key": "expire", "Value": "labels-7d"}}
    assert expiring == {"data": [], "experiments": [(labels, 7)], "backups": [({"Prefix": ""}, 14)]}


def test_what_is_deleted_can_be_brought_back_for_a_while(charts: Path) -> None:
    for bucket, rules in lifecycles_of(charts).items():
        old = [rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule]
        assert old == [{"NoncurrentDays": 14}], bucket
    data = named(objects(charts, REQUIRED["minio"]), "ConfigMap", "minio-setup")["data"]
    assert "mc --quiet version enable" in data["setup.sh"]
    granted = {
        action
        for name, text in data.items()
        if name.startswith("policy-")
        for statement in json.loads(text)["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }
    assert not [one for one in granted if "Version" in one or "Force" in one or one.startswith("s3:PutBucket")]


def test_the_documents_state_what_the_values_say() -> None:
    text = (REPOSITORY / "docs" / "operations" / "backup.md").read_text(encoding="utf-8")
    values = yaml.safe_load((SOURCE / "minio" / "values.yaml").read_text(encoding="utf-8"))
    rows = {
        bucket: next(line for line in text.splitlines() if f"| `{bucket}` |" in line)
        for bucket in values["buckets"].values()
    }
    assert f"after {values['lifecycle']['backupDays']} days" in rows["taxi-backups"]
    assert f"for {values['lifecycle']['oldVersionDays']} days" in text
    assert f"`expire=labels-7d`: after {values['lifecycle']['labelDays']} days" in rows["taxi-experiments"]
    assert rows["taxi-data"].endswith("| never |")
    readme = (SOURCE / "README.md").read_text(encoding="utf-8")
    assert {chart for chart in (*UPSTREAM, *OWN, "common") if f"`{chart}`" not in readme} == set()


def test_scripts_are_clean() -> None:
    scripts = sorted(SOURCE.glob("*/files/*.sh"))
    assert scripts
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_data_outlives_the_release(charts: Path) -> None:
    rendered = objects(charts, REQUIRED["platform"])
    claims = {
        f"{claim['metadata']['name']}-{one['metadata']['name']}-0"
        for one in rendered
        if one["kind"] == "StatefulSet"
        for claim in one["spec"]["volumeClaimTemplates"]
    }
    names = ("minio", "postgresql", "prometheus-server", "prometheus-pushgateway", "grafana")
    assert claims == {f"data-{name}-0" for name in names}
    assert [one for one in rendered if one["kind"] == "PersistentVolumeClaim"] == []


def test_a_storage_class_reaches_every_volume(charts: Path) -> None:
    values = Values(
        "platform", REQUIRED["platform"].files, ("global.storageClass=slow", "minio.persistence.storageClass=fast")
    )
    classes = {
        one["metadata"]["name"]: claim["spec"].get("storageClassName")
        for one in objects(charts, values)
        if one["kind"] == "StatefulSet"
        for claim in one["spec"]["volumeClaimTemplates"]
    }
    assert classes.pop("minio") == "fast"
    assert set(classes.values()) == {"slow"}


def test_a_part_can_be_left_to_another_chart(charts: Path) -> None:
    rendered = objects(charts, Values("platform", ("platform/ci/swapped-values.yaml",)))
    names = {one["metadata"]["name"] for one in rendered if one["kind"] in {"StatefulSet", "Service"}}
    assert not {name for name in names if "grafana" in name or "pushgateway" in name}
    assert "minio" in names


def namespaces_of(charts: Path, values: Values) -> set[str]:
    """Namespaces that policies let pods in from, or out to."""
    text = json.dumps([one for one in objects(charts, values) if one["kind"] == "NetworkPolicy"])
    return set(re.findall(r'"kubernetes.io/metadata.name": "([^"]+)"', text))


@pytest.mark.parametrize(
    ("values", "namespace"),
    [
        (REQUIRED["platform"], FLOWS),
        (REQUIRED["minio"], FLOWS),
        (REQUIRED["flows"], PLATFORM),
        (Values("platform", ("platform/ci/swapped-values.yaml",)), "other-flows"),
        (Values("flows", ("flows/ci/other-namespaces-values.yaml",)), "other-platform"),
    ],
    ids=str,
)
def test_policies_name_the_other_namespace(charts: Path, values: Values, namespace: str) -> None:
    assert namespaces_of(charts, values) == {namespace, "kube-system"}, "and that of the DNS"
