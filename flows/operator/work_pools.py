"""Base job templates: k8s/work-pools/*.json, checked, and sized by the release's values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from prefect.utilities.templating import find_placeholders
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from flows.errors import DeclarationError
from flows.operator.state import JsonObject, WorkPoolState
from flows.operator.values import PlatformValues, WorkPoolSize, checked, parse_yaml, read_text

_DEFAULT_IMAGE = {"coordinator": "aggregate"}
"""Image of a run whose deployment names none, if not `evaluation`: the one that can run all flows of the pool."""


class _Required(BaseModel):
    """Base: what Prefect's worker requires; other keys are free."""

    model_config = ConfigDict(frozen=True, extra="allow")


class _Container(_Required):
    name: Literal["prefect-job"]


class _PodSpec(_Required):
    # Prefect's worker looks for these two here; Kubernetes ignores them at this place.
    parallelism: Literal[1]
    completions: Literal[1]
    restart_policy: Literal["Never"] = Field(alias="restartPolicy")
    containers: Annotated[tuple[_Container, ...], Field(min_length=1, max_length=1)]


class _PodTemplate(_Required):
    spec: _PodSpec


class _JobSpec(_Required):
    template: _PodTemplate


class _Job(_Required):
    api_version: Literal["batch/v1"] = Field(alias="apiVersion")
    kind: Literal["Job"]
    metadata: dict[str, JsonValue]
    spec: _JobSpec


class _JobConfiguration(_Required):
    job_manifest: _Job
    env: Literal["{{ env }}"]  # without it the environment of pool, deployment and run is lost


class _Variable(_Required):
    default: JsonValue


class _Variables(_Required):
    description: str
    properties: dict[str, _Variable]


class _Template(BaseModel):
    """One file of k8s/work-pools/."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_configuration: _JobConfiguration
    variables: _Variables


def load_work_pools(folder: Path, values: PlatformValues) -> tuple[WorkPoolState, ...]:
    """The work pools that the folder declares, one per JSON file and named by it.

    Raises:
        DeclarationError: a template is not valid, or templates and values name different pools.
    """
    files = sorted(folder.glob("*.json"))
    names = {file.stem for file in files}
    if names != set(values.work_pools):
        raise DeclarationError(
            f"{folder} holds templates of {_listed(names)}, the values size {_listed(set(values.work_pools))}. "
            "Add the missing file or value (workPools.<name>). Nothing was changed."
        )
    return tuple(_work_pool(file, values) for file in files)


def variables_of(pool: WorkPoolState) -> frozenset[str]:
    """Job variables that the template of a pool knows."""
    variables = pool.base_job_template["variables"]
    properties = variables["properties"] if isinstance(variables, dict) else {}
    return frozenset(properties if isinstance(properties, dict) else {})


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no pool"


def _work_pool(file: Path, values: PlatformValues) -> WorkPoolState:
    template = checked(_Template, parse_yaml(read_text(file), str(file)), str(file))
    _check_placeholders(template, file)
    size = values.work_pools[file.stem]
    sized = _with_defaults(template, _defaults(file.stem, size, values), file)
    return WorkPoolState(
        name=file.stem,
        type="kubernetes",
        description=template.variables.description,
        base_job_template=sized.model_dump(mode="json", by_alias=True),
        concurrency_limit=size.concurrency_limit,
    )


def _check_placeholders(template: _Template, file: Path) -> None:
    texts = _texts(template.job_configuration.model_dump(mode="json"))
    used = {placeholder.name for text in texts for placeholder in find_placeholders(text)}
    declared = set(template.variables.properties)
    if unknown := used - declared:
        raise DeclarationError(
            f"{file}: uses {_listed(unknown)}, which is no variable of the template. Declare it under "
            "variables.properties, or correct the placeholder. Nothing was changed."
        )
    if unused := declared - used:
        raise DeclarationError(
            f"{file}: the variable {_listed(unused)} is used nowhere in job_configuration, so setting it would do "
            "nothing. Use it or remove it. Nothing was changed."
        )


def _texts(data: JsonValue) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)


def _defaults(pool: str, size: WorkPoolSize, values: PlatformValues) -> JsonObject:
    """What the values say, by the variable that it is the default of; `env` is added to what the file has."""
    return {
        "image": getattr(values.images, _DEFAULT_IMAGE.get(pool, "evaluation")),
        "image_pull_policy": values.image_pull_policy,
        "namespace": values.namespace,
        "cpu_request": size.cpu_request,
        "cpu_limit": size.cpu_limit,
        "memory": size.memory,
        "active_deadline_seconds": size.active_deadline_seconds,
        "env": dict(values.environment),
        "env_from": [{"secretRef": {"name": name}} for name in values.secrets],
    }


def _with_defaults(template: _Template, defaults: JsonObject, file: Path) -> _Template:
    properties = dict(template.variables.properties)
    if missing := set(defaults) - set(properties):
        raise DeclarationError(
            f"{file}: has no variable {_listed(missing)}, which the release's values set. Add it under "
            "variables.properties. Nothing was changed."
        )
    for name, default in defaults.items():
        held = properties[name].default
        merged = {**held, **default} if isinstance(held, dict) and isinstance(default, dict) else default
        properties[name] = properties[name].model_copy(update={"default": merged})
    variables = template.variables.model_copy(update={"properties": properties})
    return template.model_copy(update={"variables": variables})
