"""Work pools and their job template: what a worker makes of them, by Prefect's own models."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec
from uuid import UUID

import kubernetes_validate
import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOGGING_LEVEL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    PREFECT_UI_URL,
    temporary_settings,
)
from prefect.utilities.schema_tools import ValidationError, validate
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from flows.core.errors import DeclarationError
from flows.operator.prefect.state import WorkPoolState
from flows.operator.prefect.values import parse_values
from flows.operator.prefect.work_pools import load_work_pools
from tests.conftest import REPOSITORY
from tests.unit.declarations import values

DECLARED = REPOSITORY / "k8s" / "work-pools"
KEPT = REPOSITORY / "tests" / "kept" / "work-pools"
NAMES = ("coordinator", "parallel", "sequential")
TMP = "/tmp"  # noqa: S108  # of the pod
AUTH = "admin:a-secret-of-the-server"


def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DECLARED / "job-template.yaml").read_text(encoding="utf-8"))
    return loaded


def pool(name: str) -> WorkPoolState:
    (found,) = (one for one in load_work_pools(DECLARED, values()) if one.name == name)
    return found


def prepared(base_job_template: dict[str, Any], **job_variables: Any) -> KubernetesWorkerJobConfiguration:
    """What a worker with leaky settings of its own makes of the template."""
    leaky = {
        PREFECT_API_URL: "http://prefect-server.taxi-platform.svc:4200/api",
        PREFECT_API_AUTH_STRING: AUTH,
        PREFECT_UI_URL: "http://localhost:4200",
        PREFECT_HOME: Path("/srv/worker"),
        PREFECT_LOGGING_LEVEL: "DEBUG",
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True,
    }
    client = create_autospec(PrefectClient, instance=True)  # the templates refer to nothing of the server
    make = KubernetesWorkerJobConfiguration.from_template_and_values
    configuration = asyncio.run(make(copy.deepcopy(base_job_template), job_variables, client=client))
    assert isinstance(configuration, KubernetesWorkerJobConfiguration)
    assert client.method_calls == []
    with temporary_settings(leaky):
        configuration.prepare_for_flow_run(FlowRun(id=UUID(int=1), flow_id=UUID(int=2), name="brave-taxi"))
    return configuration


def pod_of(configuration: KubernetesWorkerJobConfiguration) -> dict[str, Any]:
    spec: dict[str, Any] = configuration.job_manifest["spec"]["template"]["spec"]
    return spec


def container_of(configuration: KubernetesWorkerJobConfiguration) -> dict[str, Any]:
    (container,) = pod_of(configuration)["containers"]
    assert isinstance(container, dict)
    return container


def environment_of(configuration: KubernetesWorkerJobConfiguration) -> dict[str, Any]:
    entries = container_of(configuration)["env"]
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)), "no name twice"
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}


@pytest.mark.parametrize("release", [folder.name for folder in sorted(KEPT.iterdir())])
def test_the_pools_are_rendered_as_when_each_had_a_template_of_its_own(release: str) -> None:
    release_values = parse_values((KEPT / release / "platform.yaml").read_text(encoding="utf-8"), release)
    rendered = {one.name: one.model_dump(mode="json") for one in load_work_pools(DECLARED, release_values)}
    assert rendered == json.loads((KEPT / release / "rendered.json").read_text(encoding="utf-8"))


def test_the_coordinator_alone_fans_out() -> None:
    fan_out = {name: environment_of(prepared(pool(name).base_job_template)).get("TAXI_FAN_OUT") for name in NAMES}
    assert fan_out == {"coordinator": "true", "parallel": None, "sequential": None}


@pytest.mark.parametrize("name", NAMES)
def test_the_job_is_one_that_kubernetes_knows(name: str) -> None:
    manifest = copy.deepcopy(prepared(pool(name).base_job_template).job_manifest)
    # Prefect asks for these two at a place where Kubernetes has no such field, and ignores them.
    for misplaced in ("parallelism", "completions"):
        assert manifest["spec"]["template"]["spec"].pop(misplaced) == 1
    kubernetes_validate.validate(manifest, "1.34", strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_pod_is_restricted(name: str) -> None:
    configuration = prepared(pool(name).base_job_template)
    pod, container = pod_of(configuration), container_of(configuration)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("flow-run", False)
    assert (pod["enableServiceLinks"], pod["restartPolicy"]) == (False, "Never")
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": TMP}]
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}}]


@pytest.mark.parametrize("name", NAMES)
def test_network_policies_and_people_find_the_pod_by_its_labels(name: str) -> None:
    labels = prepared(pool(name).base_job_template).job_manifest["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "flow-run"
    assert labels["app.kubernetes.io/part-of"] == "taxi-flows"
    assert labels["prefect.io/flow-run-name"] == "brave-taxi"


@pytest.mark.parametrize("name", NAMES)
def test_the_flow_learns_its_limits_and_its_image(name: str) -> None:
    configuration = prepared(pool(name).base_job_template)
    found = environment_of(configuration)
    assert found["TAXI_IMAGE"] == container_of(configuration)["image"]
    for variable, resource in (("TAXI_N_JOBS", "limits.cpu"), ("TAXI_MEMORY_LIMIT_BYTES", "limits.memory")):
        assert found[variable] == {
            "resourceFieldRef": {"containerName": "prefect-job", "resource": resource, "divisor": "1"}
        }


SIZES: dict[str, Any] = {"cpu_request": "2", "cpu_limit": "3", "memory": "5Gi", "tmp_size": "8Gi"}
ELSE: dict[str, Any] = {
    "image": "registry.example/other",
    "command": "sh -c true",
    "service_account_name": "operator",
    "namespace": "kube-system",
    "env_from": [{"secretRef": {"name": "registry-credentials"}}],
    "labels": {"app.kubernetes.io/component": "operator", "app.kubernetes.io/name": "flows"},
    "annotations": {"container.apparmor.security.beta.kubernetes.io/prefect-job": "unconfined"},
    "name": "other",
    "image_pull_policy": "Never",
    "backoff_limit": 6,
    "active_deadline_seconds": 2**31,
    "finished_job_ttl": 0,
    "job_manifest": {"kind": "Job"},
    "cluster_config": {"context_name": "other"},
}
"""Job variables of Prefect's own template, and fields that a run might hope to reach."""


@pytest.mark.parametrize("name", NAMES)
def test_a_run_chooses_its_sizes_alone(name: str) -> None:
    base = pool(name).base_job_template
    plain, sized, other = prepared(base), prepared(base, **SIZES), prepared(base, **SIZES, **ELSE)
    assert other.model_dump() == sized.model_dump()
    container = container_of(sized)
    assert container["resources"] == {
        "requests": {"cpu": "2", "memory": "5Gi"},
        "limits": {"cpu": "3", "memory": "5Gi"},
    }
    assert pod_of(sized)["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}}]
    container["resources"] = container_of(plain)["resources"]
    pod_of(sized)["volumes"] = pod_of(plain)["volumes"]
    assert sized.model_dump() == plain.model_dump(), "sizes change nothing else"


def check_as_the_server(name: str, job_variables: dict[str, Any]) -> None:
    """What Prefect's server does before it takes a flow run."""
    schema = pool(name).base_job_template["variables"]
    assert isinstance(schema, dict)
    defaults = {key: one["default"] for key, one in schema["properties"].items()}  # type: ignore[union-attr,index,call-overload]
    validate({**defaults, **job_variables}, schema, raise_on_error=True, preprocess=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_server_takes_sizes_and_settings(name: str) -> None:
    check_as_the_server(name, SIZES)
    check_as_the_server(name, {"env": {"TAXI_CELLS__MEMORY": "8Gi"}, "image": "registry/experiment:1"})


@pytest.mark.parametrize(
    "variables",
    [
        *({key: value} for key, value in ELSE.items() if key != "image"),
        {"env": {"LD_PRELOAD": "x.so"}},
        {"env": {"PREFECT_API_URL": "http://elsewhere"}},
        {"env.LD_PRELOAD": "x.so"},
    ],
    ids=str,
)
def test_the_server_refuses_anything_else(variables: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check_as_the_server("sequential", variables)


def test_what_a_worker_leaks_is_overridden() -> None:
    found = environment_of(prepared(pool("sequential").base_job_template))
    assert found["PREFECT_HOME"] == f"{TMP}/prefect"
    assert found["PREFECT_LOGGING_LEVEL"] == "INFO"
    assert found["PREFECT_API_URL"] == "http://prefect-server.taxi-platform.svc:4200/api"
    assert found["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE" not in found, "the old name would win or lose by chance"


def test_a_run_is_told_where_people_find_its_page() -> None:
    """What its log calls `View at`; the worker has it from the chart."""
    assert environment_of(prepared(pool("sequential").base_job_template))["PREFECT_UI_URL"] == "http://localhost:4200"


def test_runs_send_heartbeats_often_enough_for_the_zombie_automation() -> None:
    automation = yaml.safe_load((REPOSITORY / "k8s/automations/zombie-flow-runs.yaml").read_text(encoding="utf-8"))
    found = environment_of(prepared(pool("sequential").base_job_template))
    assert 3 * int(found["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) < automation["trigger"]["within"]


def test_the_auth_string_reaches_the_job_only_as_a_reference() -> None:
    configuration = prepared(pool("sequential").base_job_template)
    worker = KubernetesWorker.__new__(KubernetesWorker)
    asyncio.run(
        worker._replace_env_variable_with_secret(
            env_variable_name="PREFECT_API_AUTH_STRING",
            configuration=configuration,
            secret_name="prefect-auth",  # noqa: S106
            secret_key="auth-string",  # noqa: S106
        )
    )
    assert AUTH not in json.dumps(configuration.job_manifest)
    assert environment_of(configuration)["PREFECT_API_AUTH_STRING"] == {
        "secretKeyRef": {"name": "prefect-auth", "key": "auth-string"}
    }


def test_values_become_the_defaults() -> None:
    found = pool("parallel")
    assert found.concurrency_limit == 1
    configuration = prepared(found.base_job_template)
    container = container_of(configuration)
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert (container["image"], container["imagePullPolicy"]) == ("registry/evaluation:1", "Always")
    assert container["envFrom"] == [{"secretRef": {"name": "minio-flows"}}, {"secretRef": {"name": "more"}}]
    assert environment_of(configuration)["MINIO_ENDPOINT"] == "minio:9000"
    assert environment_of(configuration)["PREFECT_HOME"] == f"{TMP}/prefect", (
        "values add to the environment of the template"
    )
    assert configuration.job_manifest["spec"]["activeDeadlineSeconds"] == 700
    assert configuration.namespace == "flows-here"


def test_settings_of_a_deployment_or_run_are_added() -> None:
    found = environment_of(prepared(pool("sequential").base_job_template, env={"TAXI_SKIP_TRUNCATED": "1"}))
    assert (found["TAXI_SKIP_TRUNCATED"], found["MINIO_ENDPOINT"]) == ("1", "minio:9000")


def broken(change: str) -> Iterator[Any]:
    """A template with one thing wrong."""
    one = template()
    manifest = one["job_configuration"]["job_manifest"]
    pod = manifest["spec"]["template"]["spec"]
    match change:
        case "kind":
            manifest["kind"] = "Pod"
        case "container name":
            pod["containers"][0]["name"] = "main"
        case "two containers":
            pod["containers"].append({"name": "side"})
        case "restart policy":
            pod["restartPolicy"] = "OnFailure"
        case "no completions":
            del pod["completions"]
        case "no env":
            del one["job_configuration"]["env"]
        case "open image":
            pod["containers"][0]["image"] = "{{ image }}"
        case "open label":
            manifest["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = "{{ memory }}"
        case "open environment":
            one["job_configuration"]["env"] = "{{ env }}"
        case "open Secret":
            pod["containers"][0]["envFrom"] = [{"secretRef": {"name": "{{ memory }}"}}]
        case "command":
            one["job_configuration"]["command"] = "{{ memory }}"
        case "any variable":
            one["variables"]["additionalProperties"] = True
        case "unknown placeholder":
            pod["containers"][0]["workingDir"] = "{{ folder }}"
        case "no default":
            del one["variables"]["properties"]["tmp_size"]["default"]
        case "unused variable":
            one["variables"]["properties"]["gpu"] = {"type": "string", "default": "1"}
        case "no variable to size":
            del one["variables"]["properties"]["memory"]
            for sizes in pod["containers"][0]["resources"].values():
                del sizes["memory"]
        case "unknown key":
            one["variabels"] = {}
    yield one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("kind", "kind"),
        ("container name", "prefect-job"),
        ("two containers", "containers"),
        ("restart policy", "restartPolicy"),
        ("no completions", "completions"),
        ("no env", "job_configuration.env"),
        ("open image", "image"),
        ("open label", "labels"),
        ("open environment", "job_configuration.env"),
        ("open Secret", "envFrom"),
        ("command", "job_configuration.command: unknown key"),
        ("any variable", "additionalProperties"),
        ("unknown placeholder", "folder, which is no variable"),
        ("no default", "tmp_size has no default"),
        ("unused variable", "gpu is used nowhere"),
        ("no variable to size", "no variable memory"),
        ("unknown key", "variabels: unknown key"),
    ],
)
def test_a_template_that_is_not_valid(change: str, said: str, tmp_path: Path) -> None:
    shutil.copy(DECLARED / "pools.yaml", tmp_path)
    (tmp_path / "job-template.yaml").write_text(yaml.safe_dump(next(broken(change))), encoding="utf-8")
    with pytest.raises(DeclarationError, match=said) as raised:
        load_work_pools(tmp_path, values())
    assert "job-template.yaml" in str(raised.value)
    assert "Nothing was changed" in str(raised.value)


def declare_pools(folder: Path, *pools: dict[str, Any]) -> None:
    shutil.copy(DECLARED / "job-template.yaml", folder)
    (folder / "pools.yaml").write_text(yaml.safe_dump({"work_pools": list(pools)}), encoding="utf-8")


def test_pools_and_values_name_the_same(tmp_path: Path) -> None:
    declare_pools(tmp_path, {"name": "sequential", "description": "One CPU.", "image": "evaluation"})
    with pytest.raises(DeclarationError, match="lists sequential, the values size coordinator, parallel, sequential"):
        load_work_pools(tmp_path, values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "nope"}, "work_pools.0.image"),
        ({"env": {"TAXI_FAN_OUT": "{{ memory }}"}}, "work_pools.0.env.TAXI_FAN_OUT"),
        ({"memory": "1Gi"}, "work_pools.0.memory: unknown key"),
    ],
    ids=str,
)
def test_a_pool_that_is_not_valid(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    declare_pools(tmp_path, {"name": "sequential", "description": "One CPU.", "image": "evaluation"} | changes)
    with pytest.raises(DeclarationError, match=said):
        load_work_pools(tmp_path, values())
