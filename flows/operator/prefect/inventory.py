"""What is ours on the server: nothing else is ever pruned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict

from flows.core.atomic import replacing
from flows.core.errors import PlatformError
from flows.operator.cluster.kube import Cluster
from flows.operator.kinds import Kind
from flows.operator.prefect.values import checked, parse_yaml

Entry = tuple[Kind, str]

CONFIG_MAP = "taxi-flows-inventory"
KEY, FROZEN_KEY = "inventory.json", "frozen.json"
"""A person freezes while the operator writes what is ours: each of the two has a key of its own."""


class Inventory(BaseModel):
    """Names, by kind, of what was applied and not pruned since; of these, `frozen` are left as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: dict[Kind, tuple[str, ...]] = {}
    frozen: dict[Kind, tuple[str, ...]] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry], frozen: Iterable[Entry] = ()) -> Self:
        """In the order of application, each once."""
        return cls(names=_by_kind(entries), frozen=_by_kind(frozen))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Kind and name of each, in the order of application."""
        return tuple((kind, name) for kind in Kind for name in self.names.get(kind, ()))

    @property
    def frozen_entries(self) -> tuple[Entry, ...]:
        """Those that are left as they are."""
        return tuple((kind, name) for kind in Kind for name in self.frozen.get(kind, ()))

    def with_entries(self, entries: Iterable[Entry]) -> Inventory:
        """These entries added."""
        return Inventory.of([*self.entries, *entries], self.frozen_entries)

    def reduced_to(self, entries: Iterable[Entry]) -> Inventory:
        """These entries and the frozen ones of before."""
        frozen = set(self.frozen_entries)
        return Inventory.of([*entries, *(one for one in self.entries if one in frozen)], frozen)

    def freeze(self, entry: Entry) -> Inventory:
        """With the entry left as it is from now on.

        Raises:
            PlatformError: the entry is not ours.
        """
        if entry not in self.entries:
            known = ", ".join(f"{kind}/{name}" for kind, name in self.entries) or "nothing"
            raise PlatformError(f"{'/'.join(entry)} is not in the inventory, which holds {known}. Nothing was changed.")
        return Inventory.of(self.entries, [*self.frozen_entries, entry])

    def unfreeze(self, entry: Entry) -> Inventory:
        """With the entry brought to what is declared again; it need not be frozen."""
        return Inventory.of(self.entries, [one for one in self.frozen_entries if one != entry])

    def to_text(self) -> str:
        """As it is kept."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str, source: str) -> Inventory:
        """Read what `to_text` wrote.

        Raises:
            DeclarationError: the text is no inventory.
        """
        return checked(Inventory, parse_yaml(text, source), source)


def _by_kind(entries: Iterable[Entry]) -> dict[Kind, tuple[str, ...]]:
    held = set(entries)
    names = {kind: tuple(sorted(name for found, name in held if found is kind)) for kind in Kind}
    return {kind: found for kind, found in names.items() if found}


def parse_entry(text: str) -> Entry:
    """`deployment/FLOW/NAME`, `work-pool/NAME`, ... as kind and name.

    Raises:
        PlatformError: there is no such kind, or no name.
    """
    kind, _, name = text.partition("/")
    if kind not in set(Kind) or not name:
        raise PlatformError(f"{text!r} names nothing: write KIND/NAME, with one of the kinds {', '.join(Kind)}.")
    return Kind(kind), name


class InventoryStore(Protocol):
    """Where the inventory is kept."""

    def read(self) -> Inventory:
        """What is ours; empty before the first apply."""

    def write(self, inventory: Inventory, before: Inventory) -> None:
        """Keep it; nothing is written where it equals what was there before."""


class FileInventory:
    """An inventory in a local file, for a server outside a cluster."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Inventory:
        """What the file holds."""
        if not self._path.exists():
            return Inventory()
        return Inventory.from_text(self._path.read_text(encoding="utf-8"), str(self._path))

    def write(self, inventory: Inventory, before: Inventory) -> None:
        """Replace the file as a whole."""
        if inventory != before:
            with replacing(self._path) as file:
                file.write(inventory.to_text().encode())


class ConfigMapInventory:
    """An inventory in a ConfigMap of the cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def read(self) -> Inventory:
        """What the ConfigMap holds.

        Raises:
            ClusterError: it can't be read.
        """
        data = self._cluster.config_map_if_there(self._namespace, CONFIG_MAP) or {}
        source = f"ConfigMap {CONFIG_MAP}"
        owned, frozen = (Inventory.from_text(data.get(key, "{}"), source) for key in (KEY, FROZEN_KEY))
        return Inventory(names=owned.names, frozen=frozen.frozen)

    def write(self, inventory: Inventory, before: Inventory) -> None:
        """Create the ConfigMap, or replace what it holds.

        Raises:
            ClusterError: it can't be written.
        """
        changed = {
            key: part.to_text()
            for key, part, old in (
                (KEY, Inventory(names=inventory.names), before.names),
                (FROZEN_KEY, Inventory(frozen=inventory.frozen), before.frozen),
            )
            if (part.names or part.frozen) != old
        }
        if changed:
            self._cluster.write_config_map(self._namespace, CONFIG_MAP, changed)
