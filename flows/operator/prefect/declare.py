"""All that the repository declares for Prefect, as states that can be compared with what the server holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from prefect.events.schemas.automations import AutomationCore, EventTrigger
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from flows.core.errors import DeclarationError
from flows.operator.prefect.deployments import load_deployments
from flows.operator.prefect.state import MANAGED_TAG, AutomationState, ConcurrencyLimitState, State
from flows.operator.prefect.values import PlatformValues, checked, parse_yaml, read_text
from flows.operator.prefect.work_pools import load_work_pools

PENDING_AUTOMATION = "pending-flow-runs"
"""Its time is the release's to decide."""


class _Limit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    limit: int = Field(ge=0)
    active: bool = True
    slot_decay_per_second: float = Field(0.0, ge=0)


class _Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency_limits: tuple[_Limit, ...]


class _Automation(AutomationCore, extra="forbid"):
    """Prefect's own, but a key that it doesn't know is an error."""


def load_declared(folder: Path, values: PlatformValues) -> tuple[State, ...]:
    """Everything declared, in the order in which it is to be applied.

    Args:
        folder: holds prefect.yaml, k8s/work-pools/, k8s/automations/ and k8s/concurrency-limits.yaml.
        values: what the release decides: sizes, images, namespace.

    Raises:
        DeclarationError: a file is missing or wrong, or two of a kind have one name.
    """
    pools = load_work_pools(folder / "k8s" / "work-pools", values)
    declared = (
        *pools,
        *_limits(folder / "k8s" / "concurrency-limits.yaml"),
        *load_deployments(folder / "prefect.yaml", values.images, pools),
        *(_automation(file, values) for file in sorted((folder / "k8s" / "automations").glob("*.yaml"))),
    )
    names = [(state.kind, state.name) for state in declared]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise DeclarationError(f"{folder}: {kind} {name} is declared twice. Nothing was changed.")
    return declared


def _limits(file: Path) -> tuple[ConcurrencyLimitState, ...]:
    declared = checked(_Limits, parse_yaml(read_text(file), str(file)), str(file))
    return tuple(ConcurrencyLimitState(**limit.model_dump()) for limit in declared.concurrency_limits)


def _automation(file: Path, values: PlatformValues) -> AutomationState:
    automation = checked(_Automation, parse_yaml(read_text(file), str(file)), str(file))
    if MANAGED_TAG not in automation.tags:
        raise DeclarationError(f"{file}: add the tag {MANAGED_TAG}. Nothing was changed.")
    if automation.name == PENDING_AUTOMATION and isinstance(automation.trigger, EventTrigger):
        automation.trigger.within = timedelta(seconds=values.pending_limit_seconds)
    return automation_state(automation)


def automation_state(automation: AutomationCore) -> AutomationState:
    """The automation without the id that the server gives it."""
    core = AutomationCore(**{name: getattr(automation, name) for name in AutomationCore.model_fields})
    definition = core.model_dump(mode="json", exclude={"name", "owner_resource"})
    return AutomationState(name=core.name, definition={name: _ordered(value) for name, value in definition.items()})


def _ordered(value: JsonValue) -> JsonValue:
    """With names sorted: Prefect holds `after`, `expect` and `for_each` as sets, ordered anew in each process."""
    if isinstance(value, dict):
        return {key: _ordered(one) for key, one in value.items()}
    if isinstance(value, list):
        names = [one for one in value if isinstance(one, str)]
        return [*sorted(names)] if len(names) == len(value) else [_ordered(one) for one in value]
    return value
