"""Find a record of any kind by its id: an experiment, sweep, comparison or aggregate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.core.errors import StoreError
from flows.model.records import ExperimentRecord
from flows.model.sweeps import AggregateRecord, ComparisonRecord, SweepRecord
from flows.records.storage import dated_stem, is_date_folder, is_record_name

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.store import ObjectInfo, ObjectStore

AnyRecord = ExperimentRecord | SweepRecord | ComparisonRecord | AggregateRecord

KINDS: dict[str, type[ExperimentRecord] | type[SweepRecord] | type[ComparisonRecord] | type[AggregateRecord]] = {
    "experiments": ExperimentRecord,
    "sweeps": SweepRecord,
    "comparisons": ComparisonRecord,
    "aggregates": AggregateRecord,
}
"""The folder of each kind, and its model."""


@dataclass(frozen=True)
class Found:
    """A record, and where a person finds it."""

    record: AnyRecord
    location: str


def find_record(store: ObjectStore, settings: Settings, record_id: str) -> Found:
    """Read the record of an id.

    Raises:
        ParameterError: it is no id.
        StoreError: there is no such record, or it can't be read.
    """
    for kind in KINDS:
        key = f"{dated_stem(f'{kind}/', record_id)}.json"
        if store.stat(settings.experiments_bucket, key) is not None:
            return _read(store, settings, key)
    raise StoreError(
        f"no record {record_id} in bucket {settings.experiments_bucket} of {store.describe()}: `taxi-flows records ls` "
        "lists the experiments that are there."
    )


def latest_record(store: ObjectStore, settings: Settings) -> Found:
    """Read the record that was written last.

    Raises:
        StoreError: there is none, or it can't be read.
    """
    latest = max(_of_latest_days(store, settings), key=lambda found: found.modified, default=None)
    if latest is None:
        raise StoreError(
            f"no records in bucket {settings.experiments_bucket} of {store.describe()}: run an experiment first."
        )
    return _read(store, settings, latest.key)


def _of_latest_days(store: ObjectStore, settings: Settings) -> Iterator[ObjectInfo]:
    """The records of each kind's latest day; a sweep's cells lie in a folder of their own."""
    bucket = settings.experiments_bucket
    for kind in KINDS:
        day = max(filter(is_date_folder, store.folders(bucket, f"{kind}/date=")), default=None)
        if day is not None:
            objects = store.list(bucket, day)
            yield from (one for one in objects if is_record_name(one.key[len(day) :]))


def _read(store: ObjectStore, settings: Settings, key: str) -> Found:
    location = store.location(settings.experiments_bucket, key)
    model = KINDS[key.partition("/")[0]]
    try:
        return Found(model.model_validate_json(store.get_bytes(settings.experiments_bucket, key)), location)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise StoreError(
            f"{location} is no record of this version: {place}: {fault['msg']}. Read it with the version that wrote "
            "it, or delete it."
        ) from error
