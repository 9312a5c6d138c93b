"""Which month a scheduled run clusters where nobody names one: the latest by name, not by upload."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from flows.core.errors import SourceNotFoundError
from flows.datasets.names import FIRST_MONTHS, is_hidden

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.store import ObjectStore

_SERVICE = re.compile(rf"(?<![a-z])({'|'.join(FIRST_MONTHS)})(?![a-z])")
_MONTH = re.compile(r"(?<!\d)\d{4}-(?:0[1-9]|1[0-2])(?!\d)")
_WAY_IN = """ (from your machine, after `eval "$(taxi-flows platform env)"`)"""
_READABLE = (".parquet", ".csv", ".csv.gz")


class Month(NamedTuple):
    """One object of the data bucket that holds a month of trips, by its name."""

    service: str
    month: str
    key: str


def latest_month(store: ObjectStore, settings: Settings) -> Month:
    """The yellow file with the latest YYYY-MM in its name; where there is none, the latest of any service.

    Of several files of one month TLC's own (`yellow_tripdata_2025-09.parquet`) is taken, else the first by key; of
    several services the one that TLC published first.

    Raises:
        SourceNotFoundError: no name in the data bucket holds a service and a month.
        StoreError: the store does not answer.
    """
    months = [
        found
        for one in store.list(settings.data_bucket)
        if not any(map(is_hidden, one.key.split("/"))) and (found := month_of(one.key)) is not None
    ]
    if not months:
        raise SourceNotFoundError(
            f"no data_source was named, and bucket {settings.data_bucket} of {store.describe()} holds no file whose "
            f"name has a service ({', '.join(FIRST_MONTHS)}) and a month (YYYY-MM). Put one there with `taxi-flows "
            f"data put FILE` or `taxi-flows data fetch yellow 2025-09`{_WAY_IN if settings.minio.endpoint else ''}, or "
            "name a data_source."
        )
    candidates = [one for one in months if one.service == "yellow"] or months
    last = max(one.month for one in candidates)
    return min((one for one in candidates if one.month == last), key=_preference)


def month_of(key: str) -> Month | None:
    """The service and the month that the last part of a key names; None where it names none, or is no table."""
    name = key.rpartition("/")[2].lower()
    service, months = _SERVICE.search(name), _MONTH.findall(name)
    if service is None or not months or not name.endswith(_READABLE):
        return None
    return Month(service[1], max(months), key)


def _preference(one: Month) -> tuple[int, bool, str]:
    own_name = f"{one.service}_tripdata_{one.month}.parquet"
    return list(FIRST_MONTHS).index(one.service), one.key.rpartition("/")[2] != own_name, one.key
