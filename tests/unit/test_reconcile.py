"""Comparing what is declared with what a server holds, and applying it, on a server of dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flows.core.errors import PlatformError, PrefectApiError
from flows.operator.kinds import Kind
from flows.operator.prefect.inventory import Entry, Inventory, parse_entry
from flows.operator.prefect.reconcile import Action, Change, apply, plan
from flows.operator.prefect.state import ConcurrencyLimitState, State, WorkPoolState

LIMITS = [ConcurrencyLimitState(name="a", limit=1), ConcurrencyLimitState(name="b", limit=2)]


def work_pool(**template: object) -> WorkPoolState:
    return WorkPoolState.model_validate(
        {
            "name": "sequential",
            "type": "kubernetes",
            "description": "one",
            "base_job_template": template,
            "concurrency_limit": 2,
        }
    )


class Server:
    """A server that keeps states, and counts what it is told."""

    def __init__(self, *states: State) -> None:
        self.held = {(state.kind, state.name): state for state in states}
        self.told: list[tuple[str, str]] = []
        self.refuses: str | None = None

    def read(self, kind: Kind, name: str) -> State | None:
        return self.held.get((kind, name))

    def write(self, state: State) -> None:
        if state.name == self.refuses:
            raise PrefectApiError(f"refused {state.name}")
        self.told.append(("write", state.name))
        self.held[state.kind, state.name] = state

    def delete(self, kind: Kind, name: str) -> None:
        self.told.append(("delete", name))
        self.held.pop((kind, name), None)


class Kept:
    """An inventory in memory."""

    def __init__(self, *entries: Entry) -> None:
        self.inventory = Inventory.of(entries)
        self.writes = 0

    def read(self) -> Inventory:
        return self.inventory

    def write(self, inventory: Inventory, before: Inventory) -> None:
        if inventory != before:
            self.inventory, self.writes = inventory, self.writes + 1


def run(server: Server, kept: Kept, declared: Sequence[State]) -> list[tuple[str, str]]:
    """Plan and apply; what was done, by action and name."""
    done: list[Change] = []
    owned = kept.read()
    apply(declared, plan(declared, owned, server), owned, server, kept, done.append)
    return [(change.action.value, change.name) for change in done]


def test_from_nothing_then_again() -> None:
    server, kept = Server(), Kept()
    assert run(server, kept, LIMITS) == [("create", "a"), ("create", "b")]
    assert kept.inventory.entries == ((Kind.CONCURRENCY_LIMIT, "a"), (Kind.CONCURRENCY_LIMIT, "b"))
    told, writes = list(server.told), kept.writes
    assert run(server, kept, LIMITS) == [("unchanged", "a"), ("unchanged", "b")]
    assert (server.told, kept.writes) == (told, writes), "the second time nothing is written anywhere"


def test_planning_changes_nothing() -> None:
    server = Server(ConcurrencyLimitState(name="a", limit=7), ConcurrencyLimitState(name="old", limit=1))
    owned = Inventory.of([(Kind.CONCURRENCY_LIMIT, "old")])
    assert [change.action for change in plan(LIMITS, owned, server)] == [Action.UPDATE, Action.CREATE, Action.DELETE]
    assert server.told == []


def test_an_update_says_which_fields() -> None:
    server = Server(ConcurrencyLimitState(name="a", limit=7, active=False))
    change, _ = plan(LIMITS, Inventory(), server)
    assert [(one.field, one.held, one.declared) for one in change.fields] == [
        ("limit", "7", "1"),
        ("active", "False", "True"),
    ]


def test_deep_differences_are_named_by_their_path() -> None:
    held, declared = work_pool(a={"b": 1, "gone": 2}, same=1), work_pool(a={"b": 3, "new": [1]}, same=1)
    (change,) = plan([declared], Inventory(), Server(held))
    assert {one.field: (one.held, one.declared) for one in change.fields} == {
        "base_job_template.a.b": ("1", "3"),
        "base_job_template.a.new": ("None", "[1]"),
        "base_job_template.a.gone": ("2", "None"),
    }


def test_a_null_differs_from_nothing() -> None:
    (change,) = plan([work_pool(a={})], Inventory(), Server(work_pool(a={"image": None})))
    assert [(one.field, one.held, one.declared) for one in change.fields] == [("base_job_template.a", "{...}", "{}")]


@pytest.mark.parametrize(
    "template",
    [
        {"env": {"MINIO_ENDPOINT": "hunter2"}},
        {"variables": {"env": {"default": {"X": "hunter2"}}}},
        {"password": "hunter2"},
        {"api_auth_string": "hunter2"},
        {"containers": [{"env": [{"name": "TOKEN", "value": "hunter2"}]}]},
    ],
    ids=str,
)
def test_values_that_may_be_secret_are_not_shown(template: dict[str, object]) -> None:
    (change,) = plan([work_pool()], Inventory(), Server(work_pool(**template)))
    assert change.action is Action.UPDATE
    assert "hunter2" not in change.model_dump_json()


def test_only_what_the_inventory_lists_is_pruned() -> None:
    mine, strangers = ConcurrencyLimitState(name="mine", limit=1), ConcurrencyLimitState(name="strangers", limit=1)
    server = Server(*LIMITS, mine, strangers)
    kept = Kept((Kind.CONCURRENCY_LIMIT, "mine"), (Kind.CONCURRENCY_LIMIT, "gone already"))
    assert run(server, kept, LIMITS) == [("unchanged", "a"), ("unchanged", "b"), ("delete", "mine")]
    assert {name for _, name in server.held} == {"a", "b", "strangers"}
    assert kept.inventory == Inventory.of([(Kind.CONCURRENCY_LIMIT, "a"), (Kind.CONCURRENCY_LIMIT, "b")])


def test_pruning_goes_against_the_order_of_creation() -> None:
    """A deployment goes before the work pool that it names."""
    pool = work_pool()
    limit = ConcurrencyLimitState(name="a", limit=1)
    kept = Kept((pool.kind, pool.name), (limit.kind, limit.name))
    assert run(Server(pool, limit), kept, []) == [("delete", "a"), ("delete", "sequential")]


def test_a_run_that_stops_half_way_leaves_nothing_unknown() -> None:
    server, kept = Server(), Kept((Kind.CONCURRENCY_LIMIT, "old"))
    server.held[Kind.CONCURRENCY_LIMIT, "old"] = ConcurrencyLimitState(name="old", limit=1)
    server.refuses = "b"
    with pytest.raises(PrefectApiError):
        run(server, kept, LIMITS)
    assert {name for _, name in kept.inventory.entries} == {"a", "b", "old"}
    server.refuses = None
    assert run(server, kept, LIMITS) == [("unchanged", "a"), ("create", "b"), ("delete", "old")]


def test_a_pool_of_another_type_is_refused_before_any_change() -> None:
    server = Server(work_pool().model_copy(update={"type": "process"}))
    with pytest.raises(PlatformError, match="sequential is there with the type process, declared is kubernetes"):
        run(server, Kept(), [*LIMITS, work_pool()])
    assert server.told == []


def frozen(*names: str) -> Kept:
    kept = Kept()
    entries = [(Kind.CONCURRENCY_LIMIT, name) for name in names]
    kept.inventory = Inventory.of(entries, entries)
    return kept


def test_what_is_frozen_is_neither_changed_nor_pruned_and_stays_known() -> None:
    server = Server(ConcurrencyLimitState(name="a", limit=7), ConcurrencyLimitState(name="old", limit=1))
    kept = frozen("a", "old")
    assert run(server, kept, LIMITS) == [("create", "b"), ("frozen", "a"), ("frozen", "old")]
    assert server.told == [("write", "b")]
    assert [name for _, name in kept.inventory.entries] == ["a", "b", "old"]
    kept.inventory = kept.inventory.unfreeze((Kind.CONCURRENCY_LIMIT, "a"))
    assert ("update", "a") in run(server, kept, LIMITS)


def test_only_what_is_ours_can_be_frozen() -> None:
    with pytest.raises(PlatformError, match="deployment/x is not in the inventory, which holds concurrency-limit/a"):
        Inventory.of([(Kind.CONCURRENCY_LIMIT, "a")]).freeze((Kind.DEPLOYMENT, "x"))


@pytest.mark.parametrize("text", ["", "deployment", "deployment/", "flow/x", "/x"])
def test_an_entry_is_a_known_kind_and_a_name(text: str) -> None:
    with pytest.raises(PlatformError, match="write KIND/NAME, with one of the kinds work-pool"):
        parse_entry(text)


def test_the_name_of_a_deployment_holds_a_slash() -> None:
    assert parse_entry("deployment/a_flow/default") == (Kind.DEPLOYMENT, "a_flow/default")
