"""The dialect table: which columns of a file mean what. The table itself is data, `dialects.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Literal

from pydantic import Field, field_validator

from flows.core.frozen import Frozen
from flows.model.points import Clock
from flows.model.spec import End

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
    """What the values of some roles look like, where they are read; and what can't be theirs, where they are not.

    foreign: values of another role, which prove that a header stands over other columns.
    """

    roles: tuple[Role, ...]
    expected: str
    pattern: str = ".*"
    foreign: str | None = None

    @field_validator("pattern", "foreign")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        re.compile(pattern or "")
        return pattern

    def allows(self, text: str) -> bool:
        """Whether the whole of a cell fits the rule."""
        return re.fullmatch(self.pattern, text, re.DOTALL) is not None and not self.is_foreign(text)

    def is_foreign(self, text: str) -> bool:
        """Whether a cell belongs to another role."""
        return self.foreign is not None and re.fullmatch(self.foreign, text) is not None


class TimeForm(Frozen):
    """One form in which times are written.

    pattern: with groups year, month, day, hour, minute, second; `half` (A or P) where there are 12 hours; `offset`
        (UTC, Z or such as -05:00, or empty) where one may follow.
    clock: what is told of a time of this form without an offset.
    """

    pattern: str
    clock: Clock

    @property
    def offsets(self) -> bool:
        """Whether an offset may follow."""
        return "offset" in re.compile(self.pattern).groupindex

    @property
    def twelve_hours(self) -> bool:
        """Whether hours are counted from 12 AM and 12 PM."""
        return "half" in re.compile(self.pattern).groupindex


class Dialect(Frozen):
    """One form of trip record, known by its normalised column names.

    false_offsets: the offsets of its times are known to be false: the clock is the city's as it is written.
    """

    name: str
    service: Service
    has: frozenset[str]
    lacks: frozenset[str] = frozenset()
    surplus_fields: int = 0
    false_offsets: bool = False
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
    times: tuple[TimeForm, ...]
    dialects: tuple[Dialect, ...]

    def rule_of(self, role: Role) -> Rule | None:
        """The rule for a role's values, if there is one."""
        return next((rule for rule in self.rules if role in rule.roles), None)

    def dialect_of(self, columns: Sequence[str]) -> Dialect:
        """The first dialect that the columns fit."""
        names = {normalised(column) for column in columns}
        return next(d for d in self.dialects if d.has <= names and not d.lacks & names)

    def roles_of(self, columns: Sequence[str]) -> dict[Role, tuple[int, ...]]:
        """Index of each column that plays a role, in the order in which they are asked for a value.

        Longitudes and latitudes are paired: as many of each, those of one form of name at the same place.
        """
        names = [normalised(column) for column in columns]
        own = self.dialect_of(columns).roles
        found: dict[Role, tuple[int, ...]] = {}
        for role, aliases in self.roles.items():
            wanted = [own[role], *aliases] if role in own else aliases
            found[role] = tuple(i for alias in wanted for i in _places(alias, names))
        for lon, lat in COORDINATE_ROLES.values():
            pairs = [
                pair
                for aliases in zip(self.roles[lon], self.roles[lat], strict=True)
                for pair in zip(*(_places(alias, names) for alias in aliases), strict=False)
            ] or list(zip(found[lon], found[lat], strict=False))[:1]
            if pairs:
                found[lon], found[lat] = zip(*pairs, strict=True)
        return {role: places for role, places in found.items() if places}


def _places(name: str, names: Sequence[str]) -> list[int]:
    return [index for index, other in enumerate(names) if other == name]


def normalised(column: str) -> str:
    """Lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


@lru_cache(maxsize=1)
def dialect_table() -> DialectTable:
    """Read `dialects.toml`, once."""
    text = resources.files("flows.readers").joinpath("dialects.toml").read_text(encoding="utf-8")
    return DialectTable.model_validate(tomllib.loads(text))
