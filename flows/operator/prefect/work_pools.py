"""Base job templates: k8s/work-pools/*.json, checked, and filled by the release's values.

A run chooses its sizes alone. What it is made of, such as image, command, service account, Secrets and labels, is fixed
in the template: whoever may start a run, a flow run's own pod among them, could otherwise have any pod there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from prefect.utilities.templating import find_placeholders
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from flows.core.errors import DeclarationError
from flows.operator.prefect.state import WorkPoolState
from flows.operator.prefect.values import PlatformValues, WorkPoolSize, checked, parse_yaml, read_text

_DEFAULT_IMAGE = {"coordinator": "aggregate"}
"""Image of a run whose deployment names none, if not `evaluation`: the one that can run all flows of the pool."""
_BY_WORKER = frozenset({"env", "image"})
"""Variables that stand nowhere in job_configuration: Prefect merges env, our worker takes a deployment's image."""

Fixed = Annotated[str, StringConstraints(pattern=r"^[^{}]+$")]
"""No placeholder: no run has a say."""


class _Required(BaseModel):
    """Base: what Prefect's worker requires; other keys are free."""

    model_config = ConfigDict(frozen=True, extra="allow")


class _Variable(_Required):
    name: Fixed
    value: Fixed | None = None


class _SecretName(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Fixed


class _Secret(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    secret_ref: _SecretName = Field(alias="secretRef")


class _Container(_Required):
    name: Literal["prefect-job"]
    image: Fixed
    image_pull_policy: Fixed = Field(alias="imagePullPolicy")
    args: tuple[Fixed, ...]
    env: tuple[_Variable, ...]
    env_from: tuple[_Secret, ...] = Field(alias="envFrom")


class _PodSpec(_Required):
    # Prefect's worker looks for these two here; Kubernetes ignores them at this place.
    parallelism: Literal[1]
    completions: Literal[1]
    restart_policy: Literal["Never"] = Field(alias="restartPolicy")
    service_account_name: Fixed = Field(alias="serviceAccountName")
    containers: Annotated[tuple[_Container, ...], Field(min_length=1, max_length=1)]


class _Metadata(_Required):
    labels: dict[Fixed, Fixed]


class _PodTemplate(_Required):
    metadata: _Metadata
    spec: _PodSpec


class _JobSpec(_Required):
    active_deadline_seconds: int = Field(alias="activeDeadlineSeconds", ge=1)
    template: _PodTemplate


class _JobMetadata(_Metadata):
    namespace: Fixed


class _Job(_Required):
    api_version: Literal["batch/v1"] = Field(alias="apiVersion")
    kind: Literal["Job"]
    metadata: _JobMetadata
    spec: _JobSpec


class _JobConfiguration(BaseModel):
    """What Prefect would take besides, such as a command or a kube config, is not for a template to open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_manifest: _Job
    namespace: Fixed
    labels: dict[Fixed, Fixed]
    env: dict[Fixed, Fixed]


class _JobVariable(_Required):
    default: JsonValue


class _Variables(_Required):
    description: str
    properties: dict[str, _JobVariable]
    additional_properties: Literal[False] = Field(alias="additionalProperties")


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
    image: str = getattr(values.images, _DEFAULT_IMAGE.get(file.stem, "evaluation"))
    filled = template.model_copy(
        update={
            "job_configuration": _configuration(template.job_configuration, image, size, values),
            "variables": _variables(template.variables, {"image": image, **_sizes(size)}, file),
        }
    )
    return WorkPoolState(
        name=file.stem,
        type="kubernetes",
        description=template.variables.description,
        base_job_template=filled.model_dump(mode="json", by_alias=True, exclude_none=True),
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
    if unused := declared - used - _BY_WORKER:
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


def _configuration(
    held: _JobConfiguration, image: str, size: WorkPoolSize, values: PlatformValues
) -> _JobConfiguration:
    """With what the release fixes for all runs of the pool."""
    spec = held.job_manifest.spec
    pod = spec.template.spec
    container = pod.containers[0].model_copy(
        update={
            "image": image,
            "image_pull_policy": values.image_pull_policy,
            "env": tuple(
                one.model_copy(update={"value": image}) if one.name == "TAXI_IMAGE" else one
                for one in pod.containers[0].env
            ),
            "env_from": tuple(_Secret(secretRef=_SecretName(name=name)) for name in values.secrets),
        }
    )
    template = spec.template.model_copy(update={"spec": pod.model_copy(update={"containers": (container,)})})
    job = held.job_manifest.model_copy(
        update={
            "metadata": held.job_manifest.metadata.model_copy(update={"namespace": values.namespace}),
            "spec": spec.model_copy(
                update={"active_deadline_seconds": size.active_deadline_seconds, "template": template}
            ),
        }
    )
    env = {**held.env, **values.environment}
    return held.model_copy(update={"namespace": values.namespace, "job_manifest": job, "env": env})


def _sizes(size: WorkPoolSize) -> dict[str, JsonValue]:
    return {"cpu_request": size.cpu_request, "cpu_limit": size.cpu_limit, "memory": size.memory}


def _variables(held: _Variables, defaults: dict[str, JsonValue], file: Path) -> _Variables:
    """With the defaults of the release."""
    properties = dict(held.properties)
    if missing := set(defaults) - set(properties):
        raise DeclarationError(
            f"{file}: has no variable {_listed(missing)}, which the release's values set. Add it under "
            "variables.properties. Nothing was changed."
        )
    for name, default in defaults.items():
        properties[name] = properties[name].model_copy(update={"default": default})
    return held.model_copy(update={"properties": properties})
