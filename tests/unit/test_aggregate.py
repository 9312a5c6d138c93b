"""Aggregates are what scipy and hand-worked numbers say, and records that can't be read are counted, not fatal."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from flows.core.errors import ParameterError
from flows.core.settings import CityBox, ScoreSettings, Settings, load_settings
from flows.model.metric import Metric
from flows.model.records import (
    ClusterCounts,
    Environment,
    ExperimentRecord,
    FileFingerprint,
    Performance,
    PointCounts,
    Quality,
    RecordedSettings,
)
from flows.model.spec import ExperimentSpec
from flows.model.sweeps import Group, PairedTest, Statistic, Trend
from flows.records.period import days_before, last_days, load_period, refuse_empty
from flows.records.storage import clusters_key, new_id, record_key
from flows.steps.aggregate import MAIN_METRICS, Aggregate, aggregate, bootstrap_intervals
from flows.store import LocalStore

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    """What tells one record from another."""

    adapter: str = "sklearn"
    eps: float = 0.3
    min_samples: int = 5
    seconds: float = 2.0
    score: float | None = 0.5
    sha256: str = "a" * 64
    seed: int = 0
    created: datetime = NOON


def metric(value: float | None) -> Metric:
    return Metric(value=value, reason="fewer than two clusters" if value is None else None)


def record(run: Run = Run()) -> ExperimentRecord:
    record_id = new_id(run.created)
    return ExperimentRecord(
        id=record_id,
        flow="evaluation_pipeline",
        created=run.created,
        key=record_key(record_id),
        clusters_key=clusters_key(record_id),
        spec=ExperimentSpec(
            data_source=("month.parquet",),
            adapter_type=run.adapter,
            eps=run.eps,
            min_samples=run.min_samples,
            seed=run.seed,
        ),
        settings=RecordedSettings(
            city_box=CityBox(),
            score=ScoreSettings(),
            silhouette_sample=10_000,
            skip_truncated=False,
            allow_mostly_dropped=False,
        ),
        source=(
            FileFingerprint(name="month.parquet", size_bytes=9, sha256=run.sha256, rows=100, dialect="yellow 2015"),
        ),
        points=PointCounts(rows=100, used=100, unique=90, dropped={"null": 0}, positions="coordinates"),
        clustering=ClusterCounts(
            n_clusters=40,
            n_core=60,
            n_border=15,
            n_noise=25,
            noise_ratio=metric(0.25),
            largest_cluster_share=metric(0.4),
            one_blob=False,
            sizes=tuple(range(1, 41)),
        ),
        quality=None
        if run.score is None
        else Quality(
            silhouette=metric(run.score),
            davies_bouldin=metric(0.8),
            calinski_harabasz=metric(120.0),
            silhouette_sample_size=100,
            silhouette_sample_clustered=75,
        ),
        performance=Performance(
            n_jobs=1,
            runtime_seconds=run.seconds,
            cpu_seconds=run.seconds,
            points_per_second=metric(50.0),
            peak_memory_bytes=metric(1e6),
        ),
        overall_score=metric(run.score),
        timings={"ingest": 0.1, "prepare": 0.2, "cluster": run.seconds},
        environment=Environment(
            taxi_flows="0", python="3", platform="linux", libraries={"numpy": "2"}, image=None, flow_run_id=None
        ),
    )


def statistic(group: Group, name: str) -> Statistic:
    return next(one for one in group.statistics if one.metric == name)


def trend(found: Aggregate, name: str) -> Trend:
    return next(one for one in found.trends if one.metric == name)


def test_groups_are_by_adapter_eps_and_min_samples() -> None:
    runs = [Run("sklearn", 0.5), Run("grid"), Run("sklearn"), Run("sklearn", 0.3, 10), Run("sklearn", 0.5)]
    groups = aggregate([record(run) for run in runs], [], seed=0).groups
    assert [(one.adapter, one.eps, one.min_samples, one.n_records) for one in groups] == [
        ("grid", 0.3, 5, 1),
        ("sklearn", 0.3, 5, 1),
        ("sklearn", 0.3, 10, 1),
        ("sklearn", 0.5, 5, 2),
    ]
    assert all(tuple(one.metric for one in group.statistics) == MAIN_METRICS for group in groups)


def test_undefined_values_are_left_out_and_counted() -> None:
    group = aggregate([record(Run(score=score)) for score in (0.2, None, 0.4, None, 0.9)], [], seed=0).groups[0]
    score = statistic(group, "overall_score")
    assert (score.n, score.n_undefined) == (3, 2)
    assert score.mean == pytest.approx(0.5)
    assert score.median == 0.4
    assert score.standard_deviation == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    assert score.low is not None
    assert score.high is not None
    assert 0.2 <= score.low < 0.5 < score.high <= 0.9
    assert (statistic(group, "runtime_seconds").n, statistic(group, "runtime_seconds").n_undefined) == (5, 0)


@pytest.mark.parametrize(("scores", "mean"), [([None], None), ([0.5], 0.5)])
def test_one_value_has_no_spread_and_none_has_nothing(scores: list[float | None], mean: float | None) -> None:
    found = statistic(aggregate([record(Run(score=one)) for one in scores], [], seed=0).groups[0], "silhouette")
    assert (found.mean, found.median) == (mean, mean)
    assert (found.standard_deviation, found.low, found.high) == (None, None, None)


def test_no_records_make_an_empty_aggregate() -> None:
    assert aggregate([], [record()], seed=0) == Aggregate((), (), ())


def test_intervals_agree_with_scipy() -> None:
    values = np.random.default_rng(5).lognormal(0, 0.5, (2, 80))
    lows, highs = bootstrap_intervals(values, seed=1)
    for row, low, high in zip(values, lows, highs, strict=True):
        expected = stats.bootstrap(
            (row,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
        ).confidence_interval
        error = row.std() / np.sqrt(80)
        assert low == pytest.approx(expected.low, abs=0.15 * error)
        assert high == pytest.approx(expected.high, abs=0.15 * error)


def test_the_seed_decides_and_the_order_does_not() -> None:
    rng = np.random.default_rng(0)
    records = [record(Run(seconds=float(seconds))) for seconds in rng.uniform(1, 2, 30)]
    shuffled = [records[place] for place in rng.permutation(30)]
    other = [record(Run(eps=0.7, seconds=float(seconds))) for seconds in rng.uniform(1, 2, 9)]
    first = aggregate(records, other, seed=3)
    assert aggregate(shuffled, reversed(other), seed=3) == first
    assert aggregate(records + other, other, seed=3).groups[0] == first.groups[0]
    assert aggregate(records, other, seed=4).groups != first.groups


def paired(seconds_by_adapter: dict[str, list[float]]) -> list[ExperimentRecord]:
    """One record per adapter and source."""
    return [
        record(Run(adapter, seconds=seconds, sha256=f"{place:064x}"))
        for adapter, all_seconds in seconds_by_adapter.items()
        for place, seconds in enumerate(all_seconds)
    ]


def only_test(records: list[ExperimentRecord]) -> PairedTest:
    (found,) = aggregate(records, [], seed=0).tests
    return found


def test_runtimes_are_paired_by_data_and_setting() -> None:
    slow, fast = [4.0, 6.0, 9.0, 8.0, 5.0, 7.0, 2.0], [2.0, 2.5, 3.0, 9.0, 2.0, 3.0, 1.5]
    found = only_test(paired({"sklearn": slow, "grid": fast}))
    expected = stats.wilcoxon(np.log(np.array(fast) / np.array(slow)))
    assert (found.first, found.second, found.n_pairs) == ("grid", "sklearn", 7)
    assert "Wilcoxon signed-rank" in found.test
    assert (found.statistic, found.p_value) == (expected.statistic, expected.pvalue)
    assert found.median_ratio == pytest.approx(np.median(np.array(fast) / np.array(slow)))
    assert found.reason is None


def test_repeats_of_a_task_count_once_by_their_mean() -> None:
    records = paired({"sklearn": [4.0] * 6, "grid": [2.0] * 6})
    repeated = [*records, record(Run("grid", seconds=4.0, sha256=f"{0:064x}"))]
    assert only_test(repeated).n_pairs == 6
    assert only_test(repeated) == only_test(paired({"sklearn": [4.0] * 6, "grid": [3.0] + [2.0] * 5}))


@pytest.mark.parametrize(
    "change", [Run("grid", eps=0.4), Run("grid", min_samples=6), Run("grid", sha256="b" * 64), Run("grid", seed=1)]
)
def test_other_data_or_settings_are_no_pair(change: Run) -> None:
    found = only_test([record(), record(change)])
    assert (found.n_pairs, found.p_value, found.median_ratio) == (0, None, None)
    assert found.reason is not None


def test_too_few_pairs_have_a_reason_and_a_ratio() -> None:
    found = only_test(paired({"sklearn": [4.0] * 5, "grid": [2.0] * 5}))
    assert (found.n_pairs, found.statistic, found.p_value, found.median_ratio) == (5, None, None, 0.5)
    assert found.reason == "5 pairs of unequal runtimes on the same data and setting; the test needs 6"
    assert only_test(paired({"sklearn": [4.0] * 9, "grid": [4.0] * 9})).p_value is None


def test_each_two_adapters_are_compared() -> None:
    tests = aggregate([record(Run(name)) for name in ("c", "a", "b")], [], seed=0).tests
    assert [(one.first, one.second) for one in tests] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_trends_are_against_the_period_before() -> None:
    now = [record(Run(seconds=3.0)), record(Run(seconds=5.0, score=None))]
    before = [record(Run(seconds=2.0)), record(Run(eps=0.9, seconds=99.0))]
    found = aggregate(now, before, seed=0)
    assert len(found.trends) == len(MAIN_METRICS)
    runtime, score = trend(found, "runtime_seconds"), trend(found, "overall_score")
    assert (runtime.n, runtime.n_before, runtime.mean, runtime.mean_before, runtime.change) == (2, 1, 4.0, 2.0, 2.0)
    assert (score.n, score.n_before, score.change) == (1, 1, 0.0)


def test_a_group_without_a_past_has_no_change() -> None:
    found = trend(aggregate([record()], [record(Run(eps=0.9))], seed=0), "runtime_seconds")
    assert (found.n_before, found.mean_before, found.change) == (0, None, None)


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> LocalStore:
    return LocalStore(settings.store_dir)


def keep(store: LocalStore, settings: Settings, *records: ExperimentRecord) -> None:
    for one in records:
        store.put_bytes(settings.experiments_bucket, one.key, one.model_dump_json(indent=2).encode())


def test_a_period_is_read_by_its_days_alone(store: LocalStore, settings: Settings) -> None:
    records = [record(Run(created=NOON + timedelta(days=day))) for day in range(-3, 3)]
    keep(store, settings, *records)
    found = load_period(store, settings, date(2026, 1, 14), date(2026, 1, 16))
    assert found.records == tuple(records[2:5])
    assert (found.n_older_schema, found.corrupt) == (0, ())


def test_other_schemas_are_counted_and_corrupt_records_named(store: LocalStore, settings: Settings) -> None:
    whole, older, newer, cut, wrong, text, nothing = (record() for _ in range(7))
    keep(store, settings, whole)
    contents = {
        older.key: json.dumps({"schema_version": 0, "eps_km": 0.3}).encode(),
        newer.key: json.dumps({**json.loads(newer.model_dump_json()), "schema_version": 2, "mood": "good"}).encode(),
        cut.key: cut.model_dump_json().encode()[:-40],
        wrong.key: wrong.model_dump_json().replace('"n_clusters":40', '"n_clusters":"many"').encode(),
        text.key: b"\xff\xfe no JSON",
        nothing.key: b"",
    }
    for key, content in contents.items():
        store.put_bytes(settings.experiments_bucket, key, content)
    store.put_bytes(settings.experiments_bucket, whole.clusters_key, b"PAR1")
    found = load_period(store, settings, NOON.date(), NOON.date())
    assert found.records == (whole,)
    assert found.n_older_schema == 2
    assert found.corrupt == tuple(sorted([cut.key, wrong.key, text.key, nothing.key]))


def test_an_empty_period_says_what_the_store_has(store: LocalStore, settings: Settings) -> None:
    first_day, last_day = date(2026, 2, 1), date(2026, 2, 7)
    found = load_period(store, settings, first_day, last_day)
    with pytest.raises(ParameterError, match=r"no records from 2026-02-01 to 2026-02-07 UTC: .*has no records at all"):
        refuse_empty(found, store, settings, first_day, last_day)
    keep(store, settings, record(), record(Run(created=NOON - timedelta(days=30))))
    store.put_bytes(settings.experiments_bucket, "experiments/date=2026-02-03/x.json", b"{")
    found = load_period(store, settings, first_day, last_day)
    with pytest.raises(ParameterError, match=r"0 of another .* 1 corrupt.*has records of 3 days, 2025-12-16 to 2026"):
        refuse_empty(found, store, settings, first_day, last_day)
    refuse_empty(load_period(store, settings, NOON.date(), NOON.date()), store, settings, NOON.date(), NOON.date())


def test_periods_end_today_and_touch() -> None:
    today = date(2026, 3, 1)
    assert last_days(1, today) == (today, today)
    assert last_days(7, today) == (date(2026, 2, 23), today)
    assert days_before(*last_days(7, today)) == (date(2026, 2, 16), date(2026, 2, 22))


@pytest.mark.parametrize("days", [0, -7, 2.5, "7", True, None, 10_000_000])
def test_bad_days(days: int) -> None:
    with pytest.raises(ParameterError, match="days is"):
        last_days(days, date(2026, 3, 1))


def test_thousands_of_records_aggregate_in_seconds(store: LocalStore, settings: Settings, tmp_path: Path) -> None:
    """A tenth of the 10,000 that must take less than 10 s, written without the store's checks."""
    folder = tmp_path / "store" / settings.experiments_bucket
    for number in range(1_000):
        one = record(Run(("sklearn", "grid")[number % 2], eps=0.1 * (1 + number % 20), seconds=1 + number % 7))
        (folder / one.key).parent.mkdir(parents=True, exist_ok=True)
        (folder / one.key).write_text(one.model_dump_json(indent=2))
    started = time.perf_counter()
    records = load_period(store, settings, NOON.date(), NOON.date()).records
    found = aggregate(records, records, seed=0)
    assert sum(group.n_records for group in found.groups) == 1_000
    assert time.perf_counter() - started < 5
