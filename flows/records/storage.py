"""Where records lie in the store, and reading them back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.core.errors import ParameterError, StoreError
from flows.model.records import ExperimentRecord
from flows.store.protocol import key_fault

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.store.protocol import ObjectStore

_ROOT = "experiments/"
_PROBE_BYTES = 1 << 18
_ID_TIME = "%Y%m%dT%H%M%SZ"
_DATE_FOLDER = re.compile(r"(?:^|/)date=\d{4}-\d{2}-\d{2}/$")
_ID = re.compile(r"(\d{4})(\d{2})(\d{2})T\d{6}Z-[0-9a-f]{8}")


def check_takes_records(store: ObjectStore, settings: Settings) -> None:
    """Write an object into the bucket of records and delete it, so that hours of work are not lost at their end.

    Raises:
        StoreError: the store refuses one or the other.
    """
    key = f"probe-{secrets.token_hex(8)}"
    try:
        store.put_bytes(settings.experiments_bucket, key, bytes(_PROBE_BYTES))
        store.delete(settings.experiments_bucket, key)
    except StoreError as error:
        raise type(error)(f"the store takes no record, so nothing was started: {error}") from error


def new_id(created: datetime) -> str:
    """An experiment's id, such as 20260131T020304Z-ab12cd34: by UTC time, and random within a second."""
    return id_of(created, secrets.token_hex(4))


def id_of(created: datetime, distinct: str) -> str:
    """The id by UTC time and eight hexadecimal digits that tell it from others of the same second."""
    return f"{created.astimezone(UTC).strftime(_ID_TIME)}-{distinct}"


def record_key(record_id: str) -> str:
    """Key of a record, in a folder by UTC date.

    Raises:
        ParameterError: it is no id of an experiment.
    """
    return f"{dated_stem(_ROOT, record_id)}.json"


def clusters_key(record_id: str) -> str:
    """Key of the table of clusters, beside the record.

    Raises:
        ParameterError: it is no id of an experiment.
    """
    return f"{dated_stem(_ROOT, record_id)}.clusters.parquet"


def dated_stem(root: str, record_id: str) -> str:
    """Key of a record without its ending, in a folder by UTC date below root.

    Raises:
        ParameterError: it is no id.
    """
    match = _ID.fullmatch(record_id)
    if match is None:
        raise ParameterError(
            f"{record_id!r} is no id of an experiment: ids look like 20260131T020304Z-ab12cd34, "
            "`taxi-flows records ls` lists them."
        )
    return f"{root}date={match[1]}-{match[2]}-{match[3]}/{record_id}"


def read_record(store: ObjectStore, settings: Settings, record_id: str) -> ExperimentRecord:
    """Read one record.

    Raises:
        ParameterError: it is no id of an experiment.
        StoreError: there is no such record, or it can't be read.
    """
    key = record_key(record_id)
    if store.stat(settings.experiments_bucket, key) is None:
        raise StoreError(
            f"no record {record_id} in bucket {settings.experiments_bucket} of {store.describe()}: "
            "`taxi-flows records ls` lists those that are there."
        )
    return _read(store, settings, key)


def list_records(
    store: ObjectStore, settings: Settings, limit: int | None = None, since: date | None = None
) -> list[ExperimentRecord]:
    """Read records, the newest first.

    Args:
        limit: most records to read; None for all.
        since: first UTC date; None for all.

    Raises:
        StoreError: the store does not answer, or a record can't be read.
    """
    return [_read(store, settings, key) for key in islice(newest_first(store, settings, since), limit)]


def date_folders(
    store: ObjectStore, settings: Settings, first_day: date | None = None, last_day: date | None = None
) -> list[str]:
    """Prefixes of the keys of each UTC date that has records, both days included, the oldest first."""
    first = f"{_ROOT}date={first_day.isoformat()}/" if first_day is not None else ""
    last = f"{_ROOT}date={last_day.isoformat()}/" if last_day is not None else "~"
    folders = store.folders(settings.experiments_bucket, f"{_ROOT}date=")
    return sorted(folder for folder in folders if is_date_folder(folder) and first <= folder <= last)


def is_record_name(name: str) -> bool:
    """Whether a file is named as a record is: `<id>.json`."""
    return name.endswith(".json") and _ID.fullmatch(name.removesuffix(".json")) is not None


def is_date_folder(folder: str) -> bool:
    """Whether the last part of a prefix is `date=YYYY-MM-DD/`, not a folder of somebody else's."""
    return _DATE_FOLDER.search(folder) is not None


def record_keys(store: ObjectStore, settings: Settings, folder: str) -> list[str]:
    """Keys of the records of one date, the oldest first: ids begin with their time. Hidden files are passed over."""
    keys = (found.key for found in store.list(settings.experiments_bucket, folder))
    return [key for key in keys if key.endswith(".json") and key_fault(key) is None]


def newest_first(store: ObjectStore, settings: Settings, since: date | None) -> Iterator[str]:
    """Keys of the records from that UTC date on, or of all."""
    for folder in reversed(date_folders(store, settings, first_day=since)):
        yield from reversed(record_keys(store, settings, folder))


def _read(store: ObjectStore, settings: Settings, key: str) -> ExperimentRecord:
    try:
        return ExperimentRecord.model_validate_json(store.get_bytes(settings.experiments_bucket, key))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        where = store.location(settings.experiments_bucket, key)
        raise StoreError(
            f"{where} is no record of this version: {place}: {fault['msg']}. Read it with the version that wrote it, "
            "or delete it."
        ) from error
