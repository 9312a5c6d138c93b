"""What is ours on the server: nothing else is ever pruned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict

from flows.atomic import replacing
from flows.operator.kube import Cluster
from flows.operator.state import Kind
from flows.operator.values import checked, parse_yaml

Entry = tuple[Kind, str]

CONFIG_MAP = "taxi-flows-inventory"
KEY = "inventory.json"


class Inventory(BaseModel):
    """Names, by kind, of what was applied and not pruned since."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: dict[Kind, tuple[str, ...]] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """In the order of application, each once."""
        held = set(entries)
        names = {kind: tuple(sorted(name for found, name in held if found is kind)) for kind in Kind}
        return cls(names={kind: found for kind, found in names.items() if found})

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Kind and name of each, in the order of application."""
        return tuple((kind, name) for kind in Kind for name in self.names.get(kind, ()))

    def with_entries(self, entries: Iterable[Entry]) -> Inventory:
        """These entries added."""
        return Inventory.of([*self.entries, *entries])

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
        data = self._cluster.config_map_if_there(self._namespace, CONFIG_MAP)
        if data is None or KEY not in data:
            return Inventory()
        return Inventory.from_text(data[KEY], f"ConfigMap {CONFIG_MAP}")

    def write(self, inventory: Inventory, before: Inventory) -> None:
        """Create the ConfigMap, or replace what it holds.

        Raises:
            ClusterError: it can't be written.
        """
        if inventory != before:
            self._cluster.write_config_map(self._namespace, CONFIG_MAP, {KEY: inventory.to_text()})
