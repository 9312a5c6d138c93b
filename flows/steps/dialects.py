"""The dialect table: which columns of a file mean what. The table itself is data, `dialects.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Literal

from pydantic import Field, field_validator

from flows.errors import DialectError
from flows.model import End, Frozen

Role = Literal[
    "pickup_lon",
    "pickup_lat",
    "dropoff_lon",
    "dropoff_lat",
    "pickup_zone",
    "dropoff_zone",
    "pickup_time",
    "dropoff_time",
    "vendor",
    "rate_code",
    "store_flag",
    "passenger_count",
    "trip_distance",
]
Service = Literal["yellow", "green", "fhv", "fhvhv", "unknown"]

COORDINATE_ROLES: dict[End, tuple[Role, Role]] = {
    "pickup": ("pickup_lon", "pickup_lat"),
    "dropoff": ("dropoff_lon", "dropoff_lat"),
}
ZONE_ROLES: dict[End, Role] = {"pickup": "pickup_zone", "dropoff": "dropoff_zone"}


class Rule(Frozen):
    """What the values of some roles look like."""

    roles: tuple[Role, ...]
    pattern: str
    expected: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        re.compile(pattern)
        return pattern

    def allows(self, text: str) -> bool:
        """Whether the whole of a cell fits the rule."""
        return re.fullmatch(self.pattern, text) is not None


class Dialect(Frozen):
    """One form of trip record, known by its normalised column names."""

    name: str
    service: Service
    has: frozenset[str]
    lacks: frozenset[str] = frozenset()
    surplus_fields: int = 0
    roles: dict[Role, str] = Field(default_factory=dict)


class Swapped(Frozen):
    """Degrees by which swapped coordinates are known."""

    lon: tuple[float, float]
    lat: tuple[float, float]


class Missing(Frozen):
    """Cells that hold nothing."""

    values: tuple[str, ...]


class DialectTable(Frozen):
    """The content of `dialects.toml`."""

    roles: dict[Role, tuple[str, ...]]
    rules: tuple[Rule, ...]
    swapped: Swapped
    missing: Missing
    dialects: tuple[Dialect, ...]

    def rule_of(self, role: Role) -> Rule | None:
        """The rule for a role's values, if there is one."""
        return next((rule for rule in self.rules if role in rule.roles), None)

    def dialect_of(self, columns: Sequence[str]) -> Dialect:
        """The first dialect that the columns fit."""
        names = {normalised(column) for column in columns}
        return next(d for d in self.dialects if d.has <= names and not d.lacks & names)

    def roles_of(self, columns: Sequence[str], file_name: str) -> dict[Role, int]:
        """Index of the column that plays each role.

        Raises:
            DialectError: two columns have the same claim to a role.
        """
        names = [normalised(column) for column in columns]
        found: dict[Role, int] = {}
        own = self.dialect_of(columns).roles
        for role, aliases in self.roles.items():
            alias = own.get(role) or next((alias for alias in aliases if alias in names), None)
            if alias is None:
                continue
            found[role] = names.index(alias)
            if names.count(alias) > 1:
                twins = ", ".join(repr(c) for c, n in zip(columns, names, strict=True) if n == alias)
                raise DialectError(
                    f"{file_name}: found columns {twins} that mean the same, expected one. Rename or remove the others."
                )
        return found


def normalised(column: str) -> str:
    """Lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


@lru_cache(maxsize=1)
def dialect_table() -> DialectTable:
    """Read `dialects.toml`, once."""
    text = resources.files("flows.steps").joinpath("dialects.toml").read_text(encoding="utf-8")
    return DialectTable.model_validate(tomllib.loads(text))
