"""What the experiments of the last days have in common."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.core.errors import ParameterError
from flows.core.frozen import INT64_MAX
from flows.core.settings import Settings, load_settings
from flows.model import parameter
from flows.model.metric import AtLeastOne
from flows.model.parameters import shown
from flows.model.spec import Seed
from flows.model.sweeps import AggregateRecord
from flows.records.period import PeriodRecords, days_before, last_days, load_period, refuse_empty
from flows.records.storage import check_takes_records, new_id
from flows.records.sweep_storage import key_of, put
from flows.runtime.flow_decorator import flow
from flows.runtime.restarts import restartable
from flows.runtime.sweep_result import AggregateResult
from flows.store import ObjectStore, open_store
from flows.tasks import report

if TYPE_CHECKING:
    from flows.steps.aggregate import Aggregate

_FLOW = "aggregate_results_flow"


@flow(name=_FLOW)
def aggregate_results_flow(days: AtLeastOne = parameter.DAYS, seed: Seed = 0) -> AggregateResult:
    """Statistics of the recorded experiments of the last days, against the days before them.

    Raises:
        ParameterError: days or seed is out of range, or the period has no record; the message says what the store has.
        StoreError: the store does not answer, or did not take the record.
    """
    with restartable():
        first_day, last_day = last_days(days, datetime.now(UTC).date())
        _check_seed(seed)
        settings = load_settings()
        store = open_store(settings)
        check_takes_records(store, settings)
        found = load(store, settings, first_day, last_day)
        refuse_empty(found, store, settings, first_day, last_day)
        before = load(store, settings, *days_before(first_day, last_day))
        statistics = aggregate(found, before, seed)
        result = record(store, settings, found, statistics, (first_day, last_day), seed)
        report(result)
        return result


@task(name="load", cache_policy=NO_CACHE)
def load(store: ObjectStore, settings: Settings, first_day: date, last_day: date) -> PeriodRecords:
    """Read the records of these days."""
    return load_period(store, settings, first_day, last_day)


@task(name="aggregate", cache_policy=NO_CACHE)
def aggregate(found: PeriodRecords, before: PeriodRecords, seed: int) -> Aggregate:
    """Group, compare and set against the period before."""
    from flows.steps.aggregate import aggregate as step

    return step(found.records, before.records, seed)


@task(name="record", cache_policy=NO_CACHE)
def record(
    store: ObjectStore,
    settings: Settings,
    found: PeriodRecords,
    statistics: Aggregate,
    period: tuple[date, date],
    seed: int,
) -> AggregateResult:
    """Keep the statistics."""
    from flows.steps.environment import environment

    created = datetime.now(UTC)
    aggregate_id = new_id(created)
    key = key_of("aggregates", aggregate_id)
    kept = AggregateRecord(
        id=aggregate_id,
        flow=_FLOW,
        created=created,
        key=key,
        first_day=period[0],
        last_day=period[1],
        seed=seed,
        n_records=len(found.records),
        n_older_schema=found.n_older_schema,
        corrupt=found.corrupt,
        groups=statistics.groups,
        tests=statistics.tests,
        trends=statistics.trends,
        environment=environment(settings, flow_run.id),
    )
    put(store, settings, key, kept)
    return AggregateResult(record=kept, location=store.location(settings.experiments_bucket, key))


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= INT64_MAX:
        raise ParameterError(f"seed is {shown(seed)}: seed is a whole number from 0 to {INT64_MAX}.")
