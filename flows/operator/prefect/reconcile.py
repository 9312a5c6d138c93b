"""Compare what is declared with what the server holds, and bring the server there.

Every action is idempotent. What is written down as ours before the first change stays so until it is deleted, so that a
run that stops half-way leaves nothing that a later one doesn't know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from flows.core.errors import PlatformError
from flows.operator.kinds import Kind
from flows.operator.prefect.inventory import Inventory, InventoryStore
from flows.operator.prefect.state import State, WorkPoolState

_SECRET = re.compile(r"(^|\.)env(\.|$)|passw|secret_key|auth|token", re.IGNORECASE)
"""Fields whose values are never printed: someone may have put a password there by hand."""


_LONGEST = 80
"""Characters of a printed value."""


class PlatformApi(Protocol):
    """The server, as far as this package needs it. Every call raises PrefectApiError where the server refuses."""

    def read(self, kind: Kind, name: str) -> State | None:
        """What the server holds under the name."""

    def write(self, state: State) -> None:
        """Create it, or replace what the server holds under its name."""

    def delete(self, kind: Kind, name: str) -> None:
        """Delete it; nothing happens where it is gone already."""


class Action(StrEnum):
    """What is to be done with one object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    FROZEN = "frozen"


class FieldChange(BaseModel):
    """A field that the server holds otherwise than declared; the values are None where they are not to be printed."""

    model_config = ConfigDict(frozen=True)

    field: str
    held: str | None
    declared: str | None


class Change(BaseModel):
    """What one object needs."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    action: Action
    fields: tuple[FieldChange, ...] = ()


def plan(declared: Sequence[State], owned: Inventory, api: PlatformApi) -> tuple[Change, ...]:
    """What has to be done, in order: first what is declared, then what is ours and no longer declared.

    Changes nothing. Of what is frozen nothing is asked.

    Raises:
        PlatformError: a work pool of another type has a declared name.
        PrefectApiError: the server refuses.
    """
    names, frozen = {(state.kind, state.name) for state in declared}, set(owned.frozen_entries)
    surplus = [entry for entry in reversed(owned.entries) if entry not in names | frozen]
    return (
        *(_compare(one, api.read(one.kind, one.name)) for one in declared if (one.kind, one.name) not in frozen),
        *(Change(kind=k, name=n, action=Action.DELETE) for k, n in surplus if api.read(k, n) is not None),
        *(Change(kind=kind, name=name, action=Action.FROZEN) for kind, name in owned.frozen_entries),
    )


def apply(
    declared: Sequence[State],
    changes: Sequence[Change],
    owned: Inventory,
    api: PlatformApi,
    inventory: InventoryStore,
    done: Callable[[Change], None],
) -> None:
    """Do what `plan` found.

    Args:
        declared: what `plan` got.
        changes: what `plan` gave.
        owned: what `plan` got.
        api: the server.
        inventory: where what is ours is written down.
        done: called after each change.

    Raises:
        PrefectApiError: the server refuses; changes up to there are made.
        ClusterError: the inventory can't be written.
    """
    states = {(state.kind, state.name): state for state in declared}
    inventory.write(owned.with_entries(states), before=owned)
    for change in changes:
        if change.action is Action.DELETE:
            api.delete(change.kind, change.name)
        elif change.action in {Action.CREATE, Action.UPDATE}:
            api.write(states[change.kind, change.name])
        done(change)
    inventory.write(owned.reduced_to(states), before=owned.with_entries(states))


def _compare(declared: State, held: State | None) -> Change:
    kind, name = declared.kind, declared.name
    if held is None:
        return Change(kind=kind, name=name, action=Action.CREATE)
    _check_type(declared, held)
    fields = tuple(_differences("", held.model_dump(mode="json"), declared.model_dump(mode="json")))
    return Change(kind=kind, name=name, action=Action.UPDATE if fields else Action.UNCHANGED, fields=fields)


def _check_type(declared: State, held: State) -> None:
    if isinstance(declared, WorkPoolState) and isinstance(held, WorkPoolState) and declared.type != held.type:
        raise PlatformError(
            f"work pool {declared.name} is there with the type {held.type}, declared is {declared.type}; Prefect can't "
            f"change that. Delete it (`prefect work-pool delete {declared.name}`) or use another server. "
            "Nothing was changed."
        )


def _differences(path: str, held: JsonValue, declared: JsonValue) -> Iterator[FieldChange]:
    if held == declared:
        return
    inner = [
        change
        for key, held_value, declared_value in _children(held, declared)
        for change in _differences(f"{path}.{key}" if path else key, held_value, declared_value)
    ]
    yield from inner or [_field_change(path, held, declared)]  # none inside: one has a null that the other lacks


def _field_change(path: str, held: JsonValue, declared: JsonValue) -> FieldChange:
    if _SECRET.search(path):
        return FieldChange(field=path, held=None, declared=None)
    return FieldChange(field=path, held=_brief(held), declared=_brief(declared))


def _children(held: JsonValue, declared: JsonValue) -> list[tuple[str, JsonValue, JsonValue]]:
    """What lies in both values, by key or index; empty where they are to be compared as a whole."""
    if isinstance(held, list) and isinstance(declared, list) and len(held) == len(declared):
        return [(str(index), *pair) for index, pair in enumerate(zip(held, declared, strict=True))]
    before = {} if held is None else held
    after = {} if declared is None else declared
    if isinstance(before, dict) and isinstance(after, dict):
        return [(key, before.get(key), after.get(key)) for key in dict.fromkeys([*after, *before])]
    return []


def _brief(value: JsonValue) -> str:
    """A short text; what lies deep in a value stays out of it, since it may be secret."""
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return f"[{len(value)} items]"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
