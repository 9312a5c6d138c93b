"""The charts, as Helm renders them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "charts"
LEAVES = ("minio", "postgres", "prefect-server", "prometheus", "pushgateway", "grafana")
UMBRELLAS = ("platform", "flows")
NAMESPACES = {"flows": "taxi-flows"}
PLATFORM = "taxi-platform"

Object = dict[str, Any]
"""A Kubernetes object: whatever its kind has."""


@dataclass(frozen=True)
class Values:
    """A chart with the values that a test gives to it."""

    chart: str
    files: tuple[str, ...]
    settings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join([self.chart, *(Path(file).name.removesuffix("-values.yaml") for file in self.files)])


REQUIRED = {chart: Values(chart, (f"{chart}/ci/required-values.yaml",)) for chart in (*LEAVES, *UMBRELLAS)}
REQUIRED["pushgateway"] = Values("pushgateway", ())
SMALL = {
    chart: Values(chart, (f"{chart}/ci/required-values.yaml", f"{chart}/values-small.yaml")) for chart in UMBRELLAS
}
CI = tuple(
    Values(file.parent.parent.name, (str(file.relative_to(SOURCE)),))
    for file in sorted(SOURCE.glob("*/ci/*-values.yaml"))
)
ALL = (*CI, REQUIRED["pushgateway"], *SMALL.values())


def helm(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Helm in a folder; its end is the caller's to judge."""
    return subprocess.run(["helm", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@cache
def built(folder: Path) -> Path:
    """A copy of all charts with their dependencies, as a fresh clone has them after `helm dependency build`."""
    copy = folder / "charts"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("charts"))
    for chart in (*UMBRELLAS, *LEAVES):
        done = helm("dependency", "build", chart, folder=copy)
        assert done.returncode == 0, done.stderr
    return copy


def template(charts: Path, values: Values, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Render a chart as the release and the namespace of its own."""
    given = [word for file in values.files for word in ("--values", file)]
    given += [word for setting in values.settings for word in ("--set", setting)]
    namespace = NAMESPACES.get(values.chart, PLATFORM)
    return helm("template", values.chart, values.chart, "--namespace", namespace, *given, *arguments, folder=charts)


@cache
def objects(charts: Path, values: Values) -> tuple[Object, ...]:
    """All objects of a chart, hooks among them."""
    done = template(charts, values)
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def named(rendered: tuple[Object, ...], kind: str, name: str) -> Object:
    """The object of this kind and name."""
    (found,) = [one for one in rendered if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod_template(one: Object) -> Object | None:
    """Metadata and spec of the pods that an object makes."""
    match one["kind"]:
        case "Deployment" | "StatefulSet" | "Job":
            return one["spec"]["template"]
        case "CronJob":
            return one["spec"]["jobTemplate"]["spec"]["template"]
    return None


def pods(rendered: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Each object that makes pods, and their template."""
    for one in rendered:
        if found := pod_template(one):
            yield one, found


def containers(pod: Object) -> list[Object]:
    """All containers of a pod's template, those that come first among them."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def env_of(pod: Object) -> dict[str, Any]:
    """Environment of the first container: name -> value, or where it comes from."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in pod["spec"]["containers"][0]["env"]}


each_values = pytest.mark.parametrize("values", ALL, ids=str)
each_umbrella = pytest.mark.parametrize("chart", UMBRELLAS)
each_chart = pytest.mark.parametrize("chart", [*LEAVES, *UMBRELLAS])
