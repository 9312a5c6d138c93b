"""Look through the records of experiments: filter, sort, and lose none to one that can't be read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.adapters.registry import get_adapter
from flows.core.errors import ParameterError
from flows.model.ranking import check_metric
from flows.model.records import ExperimentRecord
from flows.records.period import PeriodRecords, is_of_another_schema
from flows.records.storage import newest_first

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.store import ObjectStore


@dataclass(frozen=True)
class Query:
    """Which records to look for.

    since: first UTC date, as YYYY-MM-DD. source: name of a file of the source, or a glob.
    sort: a metric of flows.model.ranking.METRICS, the best first; by default the newest is first.
    """

    since: str | None = None
    adapter: str | None = None
    source: str | None = None
    sort: str | None = None
    limit: int | None = None


def browse(store: ObjectStore, settings: Settings, query: Query) -> PeriodRecords:
    """Read the records that a query asks for, in its order.

    Without `sort` nothing is read beyond the limit. Records without the metric come last.

    Raises:
        ParameterError: no date, an unknown adapter or metric.
        StoreError: the store does not answer.
    """
    since = None if query.since is None else _date(query.since)
    if query.adapter is not None:
        get_adapter(query.adapter)
    if query.sort is not None:
        check_metric(query.sort)
    reader = _Reader(store, settings)
    matching = (record for record in reader.read(since) if _matches(record, query))
    metric = query.sort
    ordered = matching if metric is None else iter(sorted(matching, key=lambda record: _loss(record, metric)))
    records = tuple(islice(ordered, query.limit))
    return PeriodRecords(records, reader.n_older_schema, tuple(reader.corrupt))


class _Reader:
    """Reads records, and counts those that it can't read."""

    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self.n_older_schema = 0
        self.corrupt: list[str] = []

    def read(self, since: date | None) -> Iterator[ExperimentRecord]:
        for key in newest_first(self._store, self._settings, since):
            content = self._store.get_bytes(self._settings.experiments_bucket, key)
            try:
                yield ExperimentRecord.model_validate_json(content)
            except ValidationError:
                if is_of_another_schema(content):
                    self.n_older_schema += 1
                else:
                    self.corrupt.append(key)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ParameterError(f"since is {text!r}: give a date (UTC) as YYYY-MM-DD, such as 2026-01-31.") from error


def _matches(record: ExperimentRecord, query: Query) -> bool:
    if query.adapter is not None and record.spec.adapter_type != query.adapter:
        return False
    names = (*record.spec.data_source, *(file.name for file in record.source))
    return query.source is None or any(name == query.source or fnmatchcase(name, query.source) for name in names)


def _loss(record: ExperimentRecord, metric: str) -> float:
    """The lower the better; infinite where the metric is not defined."""
    kind = check_metric(metric)
    value = kind.read(record).value
    if value is None:
        return math.inf
    return -value if kind.better == "highest" else value
