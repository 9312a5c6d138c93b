"""What runs may ask for: the admission policy of the workers' Jobs, and the quota of the namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.core.settings import OperatorSettings
from tests.charts.charts import REQUIRED, Object, Values, env_of, named, objects, pods

pytestmark = pytest.mark.charts

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
NAME = "taxi-flows-flow-run-jobs"


def flows(*settings: str) -> Values:
    return Values("flows", REQUIRED["flows"].files, settings)


def policy(charts: Path, *settings: str) -> Object:
    return dict(named(objects(charts, flows(*settings)), POLICY, NAME)["spec"])


def expressions(charts: Path, *settings: str) -> str:
    return "\n".join(one["expression"] for one in policy(charts, *settings)["validations"])


def test_the_policy_denies_jobs_of_workers_in_the_namespace_of_the_release(charts: Path) -> None:
    spec = policy(charts)
    assert spec["failurePolicy"] == "Fail"
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["apiGroups"], rule["resources"], rule["operations"]) == (["batch"], ["jobs"], ["CREATE", "UPDATE"])
    (condition,) = spec["matchConditions"]
    assert condition["expression"] == 'request.userInfo.username == "system:serviceaccount:taxi-flows:worker"'
    binding = named(objects(charts, flows()), BINDING, NAME)["spec"]
    assert (binding["policyName"], binding["validationActions"]) == (NAME, ["Deny"])
    assert binding["matchResources"]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "taxi-flows"
    }
    assert all("message" in one or "messageExpression" in one for one in spec["validations"])


@pytest.mark.parametrize(
    ("image", "taken"),
    [
        ("registry.example/taxi-flows-experiment:1", True),
        ("registry.example/taxi-flows-sweep:another-release", True),
        ("registry.example/taxi-flows-experiment@sha256:" + 64 * "a", True),
        ("registry.example/taxi-flows-experiment:1@sha256:" + 64 * "a", True),
        ("registry.example:5000/mine/flows:2", True),
        ("registry.example/taxi-flows-operator:1", False),
        ("registry.example/taxi-flows-experiment-of-mine:1", False),
        ("registryxexample/taxi-flows-experiment:1", False),
        ("elsewhere.example/registry.example/taxi-flows-experiment:1", False),
        ("registry.example/taxi-flows-experiment:1/other", False),
        ("registry.example/other", False),
    ],
)
def test_images_are_those_of_the_release_and_of_the_values(charts: Path, image: str, taken: bool) -> None:
    text = expressions(charts, "flowRuns.images={registry.example:5000/mine/flows}")
    (pattern,) = re.findall(r'variables\.container\.image\.matches\("(.*)"\)', text)
    assert bool(re.search(pattern.replace("\\\\", "\\"), image)) is taken


def test_secrets_are_those_of_the_values(charts: Path) -> None:
    text = expressions(charts, "flowRuns.existingSecrets={minio-flows,more}")
    assert 'one.secretRef.name in ["minio-flows","more"]' in text
    assert 'one.valueFrom.secretKeyRef.name == "prefect-auth"' in text


def test_a_maximum_is_held_where_the_values_have_one(charts: Path) -> None:
    assert 'quantity("64Gi")' in expressions(charts)
    assert 'variables.limits["memory"]' not in expressions(charts)
    text = expressions(charts, "flowRuns.maximum.memory=16Gi", "flowRuns.maximum.cpu=8000m")
    assert 'quantity("16Gi")' in text
    assert 'quantity("8000m")' in text


def test_without_the_policy_there_is_none(charts: Path) -> None:
    kinds = {one["kind"] for one in objects(charts, flows("admissionPolicy.enabled=false"))}
    assert not kinds & {POLICY, BINDING}


def test_a_maximum_holds_for_objects_too(charts: Path) -> None:
    name = "taxi-flows-object-sizes"
    assert name not in {one["metadata"]["name"] for one in objects(charts, flows())}
    made = objects(charts, flows("flowRuns.maximum.cpu=8000m"))
    spec = named(made, POLICY, name)["spec"]
    limit, request = [one["expression"] for one in spec["validations"]]
    assert 'quantity(object.spec.resources.cpuLimit).compareTo(quantity("8000m")) <= 0' in limit
    assert 'quantity(object.spec.resources.cpuRequest).compareTo(quantity("8000m")) <= 0' in request
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["experiments", "parametersweeps"], ["CREATE"])
    assert named(made, BINDING, name)["spec"]["validationActions"] == ["Deny"]


def test_the_operator_is_told_the_maximum_and_the_time_to_live(charts: Path) -> None:
    def told(*settings: str) -> dict[str, str]:
        pod = named(objects(charts, flows(*settings)), "Deployment", "operator")["spec"]["template"]
        return {name: value for name, value in env_of(pod).items() if name.startswith("TAXI_OPERATOR__")}

    assert told("operator.objectTtlSeconds=86400", "flowRuns.maximum.memory=16Gi") == {
        "TAXI_OPERATOR__OBJECT_TTL_SECONDS": "86400",
        "TAXI_OPERATOR__MAXIMUM_CPU": "",
        "TAXI_OPERATOR__MAXIMUM_MEMORY": "16Gi",
    }
    assert told()["TAXI_OPERATOR__OBJECT_TTL_SECONDS"] == str(OperatorSettings().object_ttl_seconds)


def test_a_quota_is_as_the_values_have_it(charts: Path) -> None:
    assert "ResourceQuota" not in {one["kind"] for one in objects(charts, flows())}
    some = named(objects(charts, flows("quota.memory=16Gi")), "ResourceQuota", "taxi-flows")
    assert some["spec"]["hard"] == {"limits.memory": "16Gi"}
    settings = ("quota.memory=16Gi", "quota.cpuRequests=1500m", "quota.pods=20")
    every = named(objects(charts, Values("flows", REQUIRED["flows"].files, settings)), "ResourceQuota", "taxi-flows")
    assert every["spec"]["hard"] == {"limits.memory": "16Gi", "requests.cpu": "1500m", "pods": "20"}


def test_logs_name_the_pages_that_people_can_open(charts: Path) -> None:
    for _, pod in pods(objects(charts, flows("prefect.uiUrl=https://prefect.example"))):
        environment = env_of(pod)
        assert environment["PREFECT_UI_URL"] == "https://prefect.example"
    defaults = [env_of(pod)["PREFECT_UI_URL"] for _, pod in pods(objects(charts, flows()))]
    assert set(defaults) == {"http://localhost:4200"}, "where `taxi-flows platform forward` has it"


def test_no_probe_ends_a_migration(charts: Path) -> None:
    pod = named(objects(charts, REQUIRED["prefect-server"]), "Deployment", "prefect-server")["spec"]["template"]
    first, migration = pod["spec"]["initContainers"]
    assert (first["name"], migration["name"]) == ("wait-for-database", "migrate-database")
    assert migration["command"] == ["prefect", "server", "database", "upgrade", "--yes"]
    assert not [key for key in migration if key.endswith("Probe")], "it takes as long as it takes"
    assert env_of(pod)["PREFECT_SERVER_DATABASE_MIGRATE_ON_START"] == "false"
    assert "activeDeadlineSeconds" not in pod["spec"]
