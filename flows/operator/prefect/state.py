"""What the server shall hold, or holds: one frozen model per kind, the same for both, so that they can be compared."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from flows.core.json_object import JsonObject
from flows.operator.kinds import Kind

MANAGED_TAG = "managed-by:taxi-flows"
"""Carried by every deployment and automation of ours; work pools and limits have no tags."""


class State(BaseModel):
    """One object of the server, without the ids and times that the server gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[Kind]
    name: str


class WorkPoolState(State):
    """A work pool with its base job template."""

    kind = Kind.WORK_POOL
    type: str
    description: str | None
    base_job_template: JsonObject
    concurrency_limit: int | None
    is_paused: bool = False


class ConcurrencyLimitState(State):
    """A concurrency limit across all runs."""

    kind = Kind.CONCURRENCY_LIMIT
    limit: int
    active: bool = True
    slot_decay_per_second: float = 0.0


class ScheduleState(BaseModel):
    """One schedule of a deployment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str | None
    active: bool
    schedule: JsonObject
    parameters: JsonObject


class DeploymentState(State):
    """A deployment; its name is `<flow>/<deployment>`."""

    kind = Kind.DEPLOYMENT
    entrypoint: str | None
    path: str | None = None
    pull_steps: tuple[JsonObject, ...] = ()
    version: str | None
    description: str | None
    tags: tuple[str, ...]
    parameters: JsonObject
    parameter_openapi_schema: JsonObject
    enforce_parameter_schema: bool = True
    work_pool_name: str | None
    work_queue_name: str | None
    job_variables: JsonObject
    schedules: tuple[ScheduleState, ...]
    concurrency_limit: int | None
    collision_strategy: str | None
    paused: bool = False


class AutomationState(State):
    """An automation; `definition` is all of it but its name."""

    kind = Kind.AUTOMATION
    definition: JsonObject
