"""Work pools: one base job template (k8s/work-pools/), checked, and rendered for each pool by the release's values.

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
    image: Fixed | None = None
    image_pull_policy: Fixed | None = Field(None, alias="imagePullPolicy")
    args: tuple[Fixed, ...]
    env: tuple[_Variable, ...]
    env_from: tuple[_Secret, ...] = Field((), alias="envFrom")


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
    active_deadline_seconds: int | None = Field(None, alias="activeDeadlineSeconds", ge=1)
    template: _PodTemplate


class _JobMetadata(_Metadata):
    namespace: Fixed | None = None


class _Job(_Required):
    api_version: Literal["batch/v1"] = Field(alias="apiVersion")
    kind: Literal["Job"]
    metadata: _JobMetadata
    spec: _JobSpec


class _JobConfiguration(BaseModel):
    """What Prefect would take besides, such as a command or a kube config, is not for a template to open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_manifest: _Job
    namespace: Fixed | None = None
    labels: dict[Fixed, Fixed]
    env: dict[Fixed, Fixed]


class _JobVariable(_Required):
    default: JsonValue = None


class _Variables(_Required):
    description: str | None = None
    properties: dict[str, _JobVariable]
    additional_properties: Literal[False] = Field(alias="additionalProperties")


class _Template(BaseModel):
    """The base job template; None: left to the pool or the release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_configuration: _JobConfiguration
    variables: _Variables


class _Pool(BaseModel):
    """What a work pool has of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Fixed
    description: str
    image: Literal["experiment", "evaluation", "sweep", "aggregate"]
    env: dict[Fixed, Fixed] = {}


class _Pools(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    work_pools: tuple[_Pool, ...]


def load_work_pools(folder: Path, values: PlatformValues) -> tuple[WorkPoolState, ...]:
    """The work pools that the folder declares, by name: job-template.yaml, rendered for each entry of pools.yaml.

    Raises:
        DeclarationError: a file is not valid, or pools and values name different pools.
    """
    table, file = folder / "pools.yaml", folder / "job-template.yaml"
    pools = checked(_Pools, parse_yaml(read_text(table), str(table)), str(table)).work_pools
    names = {pool.name for pool in pools}
    if names != set(values.work_pools):
        raise DeclarationError(
            f"{table} lists {_listed(names)}, the values size {_listed(set(values.work_pools))}. "
            "Add the missing pool or value (workPools.<name>). Nothing was changed."
        )
    template = checked(_Template, parse_yaml(read_text(file), str(file)), str(file))
    _check_placeholders(template, file)
    return tuple(_work_pool(template, pool, values, file) for pool in sorted(pools, key=lambda pool: pool.name))


def variables_of(pool: WorkPoolState) -> frozenset[str]:
    """Job variables that the template of a pool knows."""
    variables = pool.base_job_template["variables"]
    properties = variables["properties"] if isinstance(variables, dict) else {}
    return frozenset(properties if isinstance(properties, dict) else {})


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no pool"


def _work_pool(template: _Template, pool: _Pool, values: PlatformValues, file: Path) -> WorkPoolState:
    size = values.work_pools[pool.name]
    image: str = getattr(values.images, pool.image)
    variables = template.variables.model_copy(update={"description": pool.description})
    rendered = template.model_copy(
        update={
            "job_configuration": _configuration(template.job_configuration, pool, image, values),
            "variables": _variables(variables, {"image": image, **_sizes(size)}, file),
        }
    )
    return WorkPoolState(
        name=pool.name,
        type="kubernetes",
        description=pool.description,
        base_job_template=rendered.model_dump(mode="json", by_alias=True, exclude_none=True),
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


def _configuration(held: _JobConfiguration, pool: _Pool, image: str, values: PlatformValues) -> _JobConfiguration:
    """With what pool and release fix for all runs of the pool."""
    size = values.work_pools[pool.name]
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
    env = {**held.env, **pool.env, **values.environment}
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
    if bare := {name for name, variable in properties.items() if variable.default is None}:
        raise DeclarationError(f"{file}: the variable {_listed(bare)} has no default. Add one. Nothing was changed.")
    return held.model_copy(update={"properties": properties})
