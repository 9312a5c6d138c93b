"""Aggregate: what the experiments of a period have in common, and what changed since the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flows.core.settings import CityBox
from flows.model.ranking import METRICS
from flows.model.records import ExperimentRecord
from flows.model.spec import CoordinateType
from flows.model.sweeps import Group, PairedTest, Statistic, Trend

MAIN_METRICS = (
    "overall_score",
    "silhouette",
    "davies_bouldin",
    "noise_ratio",
    "n_clusters",
    "runtime_seconds",
    "peak_memory_bytes",
)
"""The metrics that are aggregated, of flows.model.ranking.METRICS."""

N_RESAMPLES = 2_000
MIN_PAIRS = 6
"""With fewer pairs no outcome of the signed-rank test has p < 0.05 (two-sided)."""
PAIRED_TEST = "Wilcoxon signed-rank test of log runtimes, two-sided"
_RESAMPLED_AT_ONCE = 1_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Aggregate:
    """Groups by adapter, eps and min_samples; tests by pair of adapters; trends by group and metric."""

    groups: tuple[Group, ...]
    tests: tuple[PairedTest, ...]
    trends: tuple[Trend, ...]


class _Setting(NamedTuple):
    adapter: str
    eps: float
    min_samples: int


class _Task(NamedTuple):
    """What two runs share whose runtimes may be compared: the same points and the same setting."""

    sha256s: tuple[str, ...]
    eps_m: float
    min_samples: int
    coordinate_type: CoordinateType
    max_samples: int | None
    seed: int
    hours: str | None
    weekdays: str | None
    city_box: CityBox
    zone_table_sha256: str | None


def aggregate(records: Iterable[ExperimentRecord], before: Iterable[ExperimentRecord], seed: int) -> Aggregate:
    """Statistics of a period's experiments per adapter, eps and min_samples.

    The same records give the same numbers, whatever their order.

    Args:
        records: of the period.
        before: of the period of the same length before it.
        seed: of the bootstrap.
    """
    ordered = sorted(records, key=attrgetter("id"))
    by_setting = _by_setting(ordered)
    groups = tuple(_group(setting, members, seed) for setting, members in by_setting.items())
    return Aggregate(groups, paired_tests(ordered), _trends(groups, _by_setting(sorted(before, key=attrgetter("id")))))


def bootstrap_intervals(values: Floats, seed: int) -> tuple[Floats, Floats]:
    """95 % intervals of the means of m metrics over the same n records, 2 or more.

    The percentile bootstrap with 2,000 resamples (Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    chapter 13). Each call draws anew from the seed, so a group's interval does not depend on which others there are.

    Args:
        values: float64[m, n].

    Returns:
        Low and high, float64[m] each.
    """
    rng = np.random.default_rng(seed)
    n_metrics, n = values.shape
    means = np.empty((n_metrics, N_RESAMPLES))
    step = max(1, _RESAMPLED_AT_ONCE // (n * n_metrics))
    for start in range(0, N_RESAMPLES, step):
        drawn = rng.integers(0, n, (min(step, N_RESAMPLES - start), n), dtype=np.int32)
        means[:, start : start + step] = np.take(values, drawn, axis=1).mean(axis=2)
    low, high = np.quantile(means, (0.025, 0.975), axis=1)
    return low, high


def paired_tests(records: Iterable[ExperimentRecord]) -> tuple[PairedTest, ...]:
    """Compare the runtimes of each two adapters over the tasks that both did; repeats of a task count as their mean.

    Runtimes of tasks of any size are compared by their ratio, so the test takes their logarithms (Wilcoxon 1945,
    "Individual Comparisons by Ranking Methods").
    """
    runtimes: dict[str, dict[_Task, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record.performance.runtime_seconds > 0:
            runtimes[record.spec.adapter_type][_task(record)].append(record.performance.runtime_seconds)
    means = {
        adapter: {task: float(np.mean(repeats)) for task, repeats in by_task.items()}
        for adapter, by_task in runtimes.items()
    }
    return tuple(
        _paired_test(first, second, means[first], means[second]) for first, second in combinations(sorted(means), 2)
    )


def _task(record: ExperimentRecord) -> _Task:
    spec, settings = record.spec, record.settings
    return _Task(
        sha256s=tuple(file.sha256 for file in record.source),
        eps_m=spec.eps_m,
        min_samples=spec.min_samples,
        coordinate_type=spec.coordinate_type,
        max_samples=spec.max_samples,
        seed=spec.seed,
        hours=spec.hours,
        weekdays=spec.weekdays,
        city_box=settings.city_box,
        zone_table_sha256=settings.zone_table_sha256,
    )


def _paired_test(first: str, second: str, of_first: dict[_Task, float], of_second: dict[_Task, float]) -> PairedTest:
    tasks = [task for task in of_first if task in of_second]
    ratios = np.array([of_first[task] / of_second[task] for task in tasks])
    n_unequal = int(np.count_nonzero(ratios != 1))
    statistic = p_value = reason = None
    if n_unequal >= MIN_PAIRS:
        result = stats.wilcoxon(np.log(ratios))
        statistic, p_value = float(result.statistic), float(result.pvalue)
    else:
        reason = f"{n_unequal} pairs of unequal runtimes on the same data and setting; the test needs {MIN_PAIRS}"
    return PairedTest(
        first=first,
        second=second,
        n_pairs=len(tasks),
        test=PAIRED_TEST,
        statistic=statistic,
        p_value=p_value,
        median_ratio=float(np.median(ratios)) if tasks else None,
        reason=reason,
    )


def _by_setting(records: Sequence[ExperimentRecord]) -> dict[_Setting, list[ExperimentRecord]]:
    """Records of each setting, in the order of records, by adapter, eps, min_samples."""
    found: dict[_Setting, list[ExperimentRecord]] = defaultdict(list)
    for record in records:
        found[_Setting(record.spec.adapter_type, record.spec.eps, record.spec.min_samples)].append(record)
    return dict(sorted(found.items()))


def _defined(records: Sequence[ExperimentRecord], metric: str) -> Floats:
    """The metric of the records that have it."""
    read = METRICS[metric].read
    values = (read(record).value for record in records)
    return np.array([value for value in values if value is not None], dtype=np.float64)


def _group(setting: _Setting, records: Sequence[ExperimentRecord], seed: int) -> Group:
    defined = {metric: _defined(records, metric) for metric in MAIN_METRICS}
    intervals = _intervals(defined, seed)
    return Group(
        adapter=setting.adapter,
        eps=setting.eps,
        min_samples=setting.min_samples,
        n_records=len(records),
        statistics=tuple(
            _statistic(metric, values, len(records), intervals.get(metric)) for metric, values in defined.items()
        ),
    )


def _intervals(defined: dict[str, Floats], seed: int) -> dict[str, tuple[float, float]]:
    """The interval of each metric that two records or more define; those that equally many do are resampled at once."""
    found: dict[str, tuple[float, float]] = {}
    by_count = sorted(defined, key=lambda metric: len(defined[metric]))
    for count, together in groupby(by_count, key=lambda metric: len(defined[metric])):
        if count >= 2:
            metrics = list(together)
            lows, highs = bootstrap_intervals(np.stack([defined[metric] for metric in metrics]), seed)
            found.update(zip(metrics, zip(lows.tolist(), highs.tolist(), strict=True), strict=True))
    return found


def _statistic(metric: str, values: Floats, n_records: int, interval: tuple[float, float] | None) -> Statistic:
    low, high = interval or (None, None)
    return Statistic(
        metric=metric,
        n=len(values),
        n_undefined=n_records - len(values),
        mean=float(values.mean()) if len(values) else None,
        median=float(np.median(values)) if len(values) else None,
        standard_deviation=float(values.std(ddof=1)) if len(values) > 1 else None,
        low=low,
        high=high,
    )


def _trends(groups: Sequence[Group], before: dict[_Setting, list[ExperimentRecord]]) -> tuple[Trend, ...]:
    """Every metric of every group of the period; one that had no records before has no change."""
    return tuple(
        _trend(group, statistic, before.get(_Setting(group.adapter, group.eps, group.min_samples), []))
        for group in groups
        for statistic in group.statistics
    )


def _trend(group: Group, now: Statistic, before: Sequence[ExperimentRecord]) -> Trend:
    values = _defined(before, now.metric)
    mean_before = float(values.mean()) if len(values) else None
    return Trend(
        adapter=group.adapter,
        eps=group.eps,
        min_samples=group.min_samples,
        metric=now.metric,
        n=now.n,
        n_before=len(values),
        mean=now.mean,
        mean_before=mean_before,
        change=now.mean - mean_before if now.mean is not None and mean_before is not None else None,
    )
