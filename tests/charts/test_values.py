"""Values: each key is documented and checked, and what can't be is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.charts.charts import REQUIRED, SOURCE, UMBRELLAS, Values, each_chart, each_umbrella, objects, template

pytestmark = pytest.mark.charts

HELMS_OWN = {"global", "common"}
"""Keys that Helm puts into the values of a chart with a library."""
FREE = {"flows": {"environment"}}
"""Maps whose keys are the user's own, by chart."""


def read(chart: str, name: str) -> Any:
    """A YAML or JSON file of a chart."""
    return yaml.safe_load((SOURCE / chart / name).read_text(encoding="utf-8"))


def keys(data: object, free: set[str], path: str = "") -> Iterator[str]:
    """Paths of all keys of values."""
    if isinstance(data, dict) and path not in free:
        for key, value in data.items():
            below = f"{path}.{key}".lstrip(".")
            yield below
            yield from keys(value, free, below)


def allowed(schema: Any, whole: Any, path: str = "") -> Iterator[str]:
    """Paths of all keys that a schema names; each map on the way is closed."""
    if reference := schema.get("$ref"):
        schema = whole["definitions"][reference.rsplit("/", 1)[1]]
    properties = schema.get("properties", {})
    if properties:
        assert schema["additionalProperties"] is False, f"{path} takes any key"
    for key, value in properties.items():
        if path or key not in HELMS_OWN:
            below = f"{path}.{key}".lstrip(".")
            yield below
            yield from allowed(value, whole, below)


@each_chart
def test_schema_and_values_name_the_same_keys(chart: str) -> None:
    schema, values = read(chart, "values.schema.json"), read(chart, "values.yaml")
    named = set(allowed(schema, schema))
    if chart == "platform":  # its parts have schemas of their own
        assert named == set(values) - HELMS_OWN
        assert set(schema["properties"]["global"]["properties"]) == set(values["global"])
        return
    assert named == {key for key in keys(values, FREE.get(chart, set())) if key.partition(".")[0] not in HELMS_OWN}
    if "global" in values:
        assert set(schema["properties"]["global"]["properties"]) == set(values["global"])


@each_chart
def test_keys_of_the_schema_are_required(chart: str) -> None:
    schema = read(chart, "values.schema.json")
    jsonschema.Draft7Validator.check_schema(schema)
    if chart != "platform":
        assert set(schema["required"]) == set(schema["properties"]) - HELMS_OWN


@each_chart
def test_each_key_is_documented(chart: str) -> None:
    lines = (SOURCE / chart / "values.yaml").read_text(encoding="utf-8").splitlines()
    bare = [
        line.strip()
        for before, line in pairwise(lines)
        # What stands below a documented map of the user's own, or of requests and limits, needs no comment.
        if re.match(r" *[\w-]+: \S", line)
        and not before.strip().startswith("# --")
        and not before.strip().startswith(("requests:", "MINIO_", "environment:"))
        and not re.match(r" *(requests|limits): \{", line)
    ]
    assert bare == []


@pytest.mark.parametrize("chart", UMBRELLAS)
def test_small_values_are_values(chart: str) -> None:
    for path in keys(read(chart, "values-small.yaml"), set()):
        parts = path.split(".")
        owner = (parts[0], parts[1:]) if chart == "platform" else (chart, parts)
        if owner[1]:
            assert ".".join(owner[1]) in set(keys(read(owner[0], "values.yaml"), set())), path


def refused(charts: Path, values: Values) -> str:
    """What Helm says of values that it does not take."""
    done = template(charts, values)
    assert done.returncode != 0, f"{values} with {values.settings} was taken"
    return done.stderr


@each_chart
def test_an_unknown_key_is_refused(charts: Path, chart: str) -> None:
    base = REQUIRED[chart]
    said = refused(charts, Values(chart, base.files, ("nosuchkey=1",)))
    assert "additional properties 'nosuchkey' not allowed" in said


@pytest.mark.parametrize("part", ["minio", "postgres", "prefect-server", "prometheus", "pushgateway", "grafana"])
def test_an_unknown_key_of_a_part_is_refused(charts: Path, part: str) -> None:
    said = refused(charts, Values("platform", REQUIRED["platform"].files, (f"{part}.nosuchkey=1",)))
    assert re.search(rf"{part}:\n- at '': additional properties 'nosuchkey' not allowed", said)


MAY_BE_EMPTY = {"storageClass", "alertFor", "cpu", "memory", "cpuRequests"}


def test_who_notifies_says_how(charts: Path) -> None:
    files = (*REQUIRED["grafana"].files, "grafana/ci/notifications-values.yaml")
    for path in ("existingSecret", "email.host", "email.from"):
        said = refused(charts, Values("grafana", files, (f"notifications.{path}=",)))
        assert f"notifications.{path} is required" in said


def empty_in(chart: str) -> list[str]:
    """Paths of values that have no default and must be given."""
    values = read(chart, "values.yaml")

    def walk(data: Any, path: str = "") -> Iterator[str]:
        for key, value in data.items():
            below = f"{path}.{key}".lstrip(".")
            if isinstance(value, dict):
                yield from walk(value, below)
            elif value == "" and key not in MAY_BE_EMPTY and not path.startswith("notifications"):
                yield below

    return list(walk(values))


MUST = [(chart, path) for chart in REQUIRED for path in empty_in(chart) if chart != "platform"]
SECRETS = [
    "minio.existingSecret",
    "minio.users.flows.existingSecret",
    "minio.users.people.existingSecret",
    "minio.users.backup.existingSecret",
    "postgres.existingSecret",
    "postgres.backup.existingSecret",
    "prefect-server.image",
    "prefect-server.database.existingSecret",
    "prefect-server.auth.existingSecret",
    "prometheus.prefectAuth.existingSecret",
    "grafana.existingSecret",
]


@pytest.mark.parametrize(("chart", "path"), [*MUST, ("flows", "prefect.existingSecret")])
def test_what_must_be_given_is_asked_for_by_its_path(charts: Path, chart: str, path: str) -> None:
    said = refused(charts, Values(chart, REQUIRED[chart].files, (f"{path}=",)))
    assert f": {path} is required: the " in said


@pytest.mark.parametrize("path", SECRETS)
def test_a_part_is_asked_for_by_the_path_within_the_whole(charts: Path, path: str) -> None:
    said = refused(charts, Values("platform", REQUIRED["platform"].files, (f"{path}=",)))
    assert f": {path} is required: the " in said


def test_paths_within_the_whole_are_those_of_the_parts() -> None:
    assert sorted(SECRETS) == sorted(f"{chart}.{path}" for chart, path in MUST if chart != "flows")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "workPools.parallel.cpuLimit=500m",
            "workPools.parallel.cpuLimit is 500m, below workPools.parallel.cpuRequest, 4",
        ),
        ("workPools.sequential.cpuRequest=1001m", "workPools.sequential.cpuLimit is 1, below workPools.sequential."),
        ("workPools.parallel.concurrencyLimit=0", "'/workPools/parallel/concurrencyLimit': minimum: got 0, want 1"),
        ("workPools.parallel.memory=lots", "'/workPools/parallel/memory'"),
        ("workPools.extra.memory=1Gi", "additional properties 'extra' not allowed"),
        ("imagePullPolicy=Sometimes", "'/imagePullPolicy'"),
        ("prefect.apiUrl=prefect-server", "'/prefect/apiUrl'"),
    ],
)
def test_sizes_that_can_not_be_are_refused(charts: Path, setting: str, message: str) -> None:
    assert message in refused(charts, Values("flows", REQUIRED["flows"].files, (setting,)))


@pytest.mark.parametrize("setting", ["workPools.parallel.cpuLimit=4000m", "workPools.coordinator.cpuRequest=0.1"])
def test_a_limit_as_large_as_its_request_is_taken(charts: Path, setting: str) -> None:
    assert objects(charts, Values("flows", REQUIRED["flows"].files, (setting,)))


@each_umbrella
def test_locks_fit_the_dependencies(chart: str) -> None:
    wanted = read(chart, "Chart.yaml")["dependencies"]
    locked = read(chart, "Chart.lock")["dependencies"]
    fields = ("name", "version", "repository")
    assert [{key: one[key] for key in fields} for one in wanted] == locked
    assert all(one["repository"] == f"file://../{one['name']}" for one in wanted)
    for one in wanted:
        assert read(one["name"], "Chart.yaml")["version"] == one["version"]


def test_schemas_are_json() -> None:
    for file in SOURCE.glob("*/values.schema.json"):
        assert json.loads(file.read_text(encoding="utf-8"))["$schema"] == "http://json-schema.org/draft-07/schema#"
