"""Deployments: what prefect.yaml declares, read as `prefect deploy --all` reads it, but strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import MissingFlowError, ScriptError
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from flows.core.errors import DeclarationError
from flows.core.json_object import JsonObject
from flows.operator.prefect.state import MANAGED_TAG, DeploymentState, ScheduleState, WorkPoolState
from flows.operator.prefect.values import Images, checked, parse_yaml, read_text
from flows.operator.prefect.work_pools import variables_of


class _Declared(BaseModel):
    """Prefect itself ignores keys that it doesn't know, so that a misspelt one would do nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Schedule(_Declared):
    cron: str
    timezone: str
    active: bool
    slug: str
    parameters: JsonObject = {}


class _ConcurrencyLimit(_Declared):
    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"]


class _WorkPool(_Declared):
    name: str
    work_queue_name: str
    job_variables: JsonObject


class _Deployment(_Declared):
    name: str
    description: str
    entrypoint: str
    version_type: Literal["prefect:simple"]
    tags: tuple[str, ...]
    parameters: JsonObject
    schedules: tuple[_Schedule, ...]
    work_pool: _WorkPool
    concurrency_limit: _ConcurrencyLimit | None = None


class _PrefectFile(_Declared):
    name: str
    build: tuple[JsonValue, ...]
    pull: Annotated[tuple[JsonValue, ...], Field(max_length=0)]
    definitions: JsonValue  # where the YAML anchors stand
    deployments: tuple[_Deployment, ...]


def load_deployments(file: Path, images: Images, pools: Sequence[WorkPoolState]) -> tuple[DeploymentState, ...]:
    """The deployments that prefect.yaml declares, with the images of this release.

    Imports the module of each flow.

    Raises:
        DeclarationError: a key is unknown, a pool or job variable is not declared, the tag is missing, or a flow
            can't be imported.
    """
    data = apply_values(parse_yaml(read_text(file), str(file)), {"images": images.model_dump()})
    variables = {pool.name: variables_of(pool) for pool in pools}
    declared = checked(_PrefectFile, data, str(file)).deployments
    for deployment in declared:
        _check(deployment, variables, file)
    return tuple(_state(deployment, file) for deployment in declared)


def _check(deployment: _Deployment, variables: Mapping[str, frozenset[str]], file: Path) -> None:
    pool = deployment.work_pool
    where = f"{file}: deployment {deployment.name} of {deployment.entrypoint}"
    if pool.name not in variables:
        raise DeclarationError(
            f"{where}: unknown work pool {pool.name}; declared are {', '.join(sorted(variables))} (k8s/work-pools/). "
            "Nothing was changed."
        )
    if unknown := {name.partition(".")[0] for name in pool.job_variables} - variables[pool.name]:
        raise DeclarationError(
            f"{where}: unknown job variable {', '.join(sorted(unknown))}; the template of {pool.name} has "
            f"{', '.join(sorted(variables[pool.name]))}. Nothing was changed."
        )
    if "image" not in pool.job_variables:
        raise DeclarationError(
            f"{where}: no image. Write job_variables: {{image: '{{{{ images.NAME }}}}'}} with one of "
            f"{', '.join(Images.model_fields)}. Nothing was changed."
        )
    if MANAGED_TAG not in deployment.tags:
        raise DeclarationError(f"{where}: add the tag {MANAGED_TAG}. Nothing was changed.")


def _state(declared: _Deployment, file: Path) -> DeploymentState:
    try:
        flow: Flow[..., object] = load_flow_from_entrypoint(declared.entrypoint, use_placeholder_flow=False)
    except (MissingFlowError, ScriptError, ImportError) as error:
        raise DeclarationError(f"{file}: can't import {declared.entrypoint}: {error}. Nothing was changed.") from error
    limit = declared.concurrency_limit
    return DeploymentState(
        name=f"{flow.name}/{declared.name}",
        entrypoint=declared.entrypoint,
        version=flow.version,
        description=declared.description,
        tags=declared.tags,
        parameters=declared.parameters,
        parameter_openapi_schema=parameter_schema(flow).model_dump(mode="json", exclude_unset=True),
        work_pool_name=declared.work_pool.name,
        work_queue_name=declared.work_pool.work_queue_name,
        job_variables=declared.work_pool.job_variables,
        schedules=tuple(_schedule(one, file) for one in sorted(declared.schedules, key=lambda one: one.slug)),
        concurrency_limit=None if limit is None else limit.limit,
        collision_strategy=None if limit is None else limit.collision_strategy,
    )


def _schedule(declared: _Schedule, file: Path) -> ScheduleState:
    try:
        cron = CronSchedule(cron=declared.cron, timezone=declared.timezone)
    except ValidationError as error:
        raise DeclarationError(f"{file}: schedule {declared.slug}: {error.errors()[0]['msg']}.") from error
    return ScheduleState(
        slug=declared.slug,
        active=declared.active,
        schedule=cron.model_dump(mode="json"),
        parameters=declared.parameters,
    )
