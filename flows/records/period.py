"""The experiments of some days, read by date prefix alone; what can't be read is counted, not fatal."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from flows.core.errors import ParameterError
from flows.model.parameters import shown
from flows.model.records import ExperimentRecord
from flows.records.storage import date_folders, record_keys

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.store import ObjectStore


@dataclass(frozen=True)
class PeriodRecords:
    """Records of some days, the oldest first.

    n_older_schema: records of another schema version, left out. corrupt: keys of those that are no records.
    """

    records: tuple[ExperimentRecord, ...]
    n_older_schema: int
    corrupt: tuple[str, ...]


def last_days(days: int, today: date) -> tuple[date, date]:
    """First and last day of the period that ends today, both included.

    Raises:
        ParameterError: days is no whole number above 0, or reaches back before the year 1.
    """
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise ParameterError(f"days is {days!r}: give a whole number of days, 1 or more, such as 7.")
    if days > today.toordinal():
        raise ParameterError(f"days is {shown(days)}: that is before the year 1. Give a smaller number, such as 7.")
    return today - timedelta(days=days - 1), today


def days_before(first_day: date, last_day: date) -> tuple[date, date]:
    """First and last day of the period of the same length that ends the day before."""
    length = last_day - first_day + timedelta(days=1)
    return first_day - length, last_day - length


def load_period(store: ObjectStore, settings: Settings, first_day: date, last_day: date) -> PeriodRecords:
    """Read the records of these UTC days, both included.

    Raises:
        StoreError: the store does not answer.
    """
    records: list[ExperimentRecord] = []
    corrupt: list[str] = []
    n_older_schema = 0
    with _without_collecting():
        for folder in date_folders(store, settings, first_day, last_day):
            for key in record_keys(store, settings, folder):
                content = store.get_bytes(settings.experiments_bucket, key)
                try:
                    records.append(ExperimentRecord.model_validate_json(content))
                except ValidationError:
                    if is_of_another_schema(content):
                        n_older_schema += 1
                    else:
                        corrupt.append(key)
    return PeriodRecords(tuple(records), n_older_schema, tuple(corrupt))


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause the search for reference cycles: records have none, and searching them takes longer than reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def refuse_empty(found: PeriodRecords, store: ObjectStore, settings: Settings, first_day: date, last_day: date) -> None:
    """Refuse a period without a record that can be read.

    Raises:
        ParameterError: there is none; the message names the period and what the store has.
    """
    if found.records:
        return
    folders = date_folders(store, settings)
    days = [folder.rstrip("/").rpartition("date=")[2] for folder in folders]
    has = f"has records of {len(days)} days, {days[0]} to {days[-1]}" if days else "has no records at all"
    left_out = (
        f" ({found.n_older_schema} of another schema version and {len(found.corrupt)} corrupt were left out)"
        if found.n_older_schema or found.corrupt
        else ""
    )
    raise ParameterError(
        f"no records from {first_day} to {last_day} UTC{left_out}: bucket {settings.experiments_bucket} of "
        f"{store.describe()} {has}. Give a larger number of days, or run an experiment first."
    )


class _Version(BaseModel):
    schema_version: int


def is_of_another_schema(content: bytes) -> bool:
    """Whether this is a record, but not of the schema version that is read here."""
    current: int = ExperimentRecord.model_fields["schema_version"].default
    try:
        return _Version.model_validate_json(content).schema_version != current
    except ValidationError:
        return False
