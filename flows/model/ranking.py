"""Rank: the metrics, each with its own direction, and the order that they put the cells of a sweep in.

Imports nothing heavy: a metric's name is checked before any work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field

from flows.core.errors import ParameterError
from flows.model.metric import Metric
from flows.model.records import ClusterCounts, Performance, Quality
from flows.model.sweeps import Cell


class Measured(Protocol):
    """What metrics are read from: a cell of a sweep, or the record of an experiment."""

    @property
    def clustering(self) -> ClusterCounts | None:
        """Counts of clusters and points."""

    @property
    def quality(self) -> Quality | None:
        """Quality, where it was asked for."""

    @property
    def performance(self) -> Performance | None:
        """Cost of the fit."""

    @property
    def overall_score(self) -> Metric:
        """The score."""


@dataclass(frozen=True)
class MetricKind:
    """How to read one metric and which end of it is better; `unit` is empty for a plain number."""

    better: Literal["highest", "lowest"]
    unit: str
    read: Callable[[Measured], Metric]


def _counted(read: Callable[[ClusterCounts], Metric]) -> Callable[[Measured], Metric]:
    return lambda cell: read(cell.clustering) if cell.clustering else Metric(value=None, reason="the cell failed")


def _judged(read: Callable[[Quality], Metric]) -> Callable[[Measured], Metric]:
    return lambda cell: read(cell.quality) if cell.quality else Metric(value=None, reason="quality was not evaluated")


def _timed(read: Callable[[Performance], Metric]) -> Callable[[Measured], Metric]:
    return lambda cell: read(cell.performance) if cell.performance else Metric(value=None, reason="the cell failed")


METRICS = {
    "overall_score": MetricKind("highest", "", lambda cell: cell.overall_score),
    "silhouette": MetricKind("highest", "", _judged(lambda quality: quality.silhouette)),
    "davies_bouldin": MetricKind("lowest", "", _judged(lambda quality: quality.davies_bouldin)),
    "calinski_harabasz": MetricKind("highest", "", _judged(lambda quality: quality.calinski_harabasz)),
    "noise_ratio": MetricKind("lowest", "", _counted(lambda counts: counts.noise_ratio)),
    "largest_cluster_share": MetricKind("lowest", "", _counted(lambda counts: counts.largest_cluster_share)),
    "n_clusters": MetricKind("highest", "clusters", _counted(lambda counts: Metric(value=counts.n_clusters))),
    "runtime_seconds": MetricKind("lowest", "s", _timed(lambda cost: Metric(value=cost.runtime_seconds))),
    "cpu_seconds": MetricKind("lowest", "s", _timed(lambda cost: Metric(value=cost.cpu_seconds))),
    "points_per_second": MetricKind("highest", "points/s", _timed(lambda cost: cost.points_per_second)),
    "peak_memory_bytes": MetricKind("lowest", "bytes", _timed(lambda cost: cost.peak_memory_bytes)),
}
"""Every metric that a sweep can be ranked by. Ratios are shares of used points."""

MetricName = Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})]


def check_metric(name: object) -> MetricKind:
    """The metric of that name.

    Raises:
        ParameterError: there is none; the message lists those there are.
    """
    if not isinstance(name, str) or name not in METRICS:
        raise ParameterError(f"unknown metric {name!r}; the metrics are: {', '.join(METRICS)}")
    return METRICS[name]


def ranking(cells: Sequence[Cell], metric: str) -> list[int]:
    """Indices of the cells, the best first.

    Under overall_score, cells flagged as one blob come after all others that have a score. Cells without the metric
    follow, then failed ones. Ties: the smaller eps, then the smaller min_samples, then the order of the cells.

    Raises:
        ParameterError: an unknown metric.
    """
    places = _places(cells, metric)
    return sorted(
        range(len(cells)), key=lambda index: (places[index], cells[index].eps, cells[index].min_samples, index)
    )


def best(cells: Sequence[Cell], metric: str) -> tuple[int | None, str]:
    """The index of the best cell and what makes it the best; None where no cell has the metric, and why.

    Raises:
        ParameterError: an unknown metric.
    """
    kind, places = check_metric(metric), _places(cells, metric)
    tiers = [place.tier for place in places]
    if not {_Tier.SOUND, _Tier.ONE_BLOB} & set(tiers):
        return None, f"no cell has {metric}: {_why_none(cells, kind)}"
    index = ranking(cells, metric)[0]
    parts = [f"{kind.better} {metric} of {_count(tiers.count(tiers[index]), 'cell')}"]
    n_blobs = tiers.count(_Tier.ONE_BLOB)
    if tiers[index] == _Tier.ONE_BLOB:
        parts.append("one cluster holds more than half of the points in each of them: try a smaller eps")
    elif n_blobs:
        parts.append(f"{n_blobs} more flagged as one blob rank after them")
    if (n_tied := places.count(places[index])) > 1:
        parts.append(f"{n_tied} tie: the smaller eps, then the smaller min_samples, then the first one is chosen")
    return index, "; ".join(parts)


class _Tier(IntEnum):
    """What decides before the value does."""

    SOUND = 0
    ONE_BLOB = 1
    UNDEFINED = 2
    FAILED = 3


class _Place(NamedTuple):
    """Where a cell ranks, but for ties: the lower the better. loss: the metric, negated where the highest is best."""

    tier: _Tier
    loss: float


def _places(cells: Sequence[Cell], metric: str) -> list[_Place]:
    kind = check_metric(metric)
    return [_place(cell, kind, blobs_last=metric == "overall_score") for cell in cells]


def _place(cell: Cell, kind: MetricKind, blobs_last: bool) -> _Place:
    if cell.status == "failed":
        return _Place(_Tier.FAILED, 0.0)
    value = kind.read(cell).value
    if value is None or not math.isfinite(value):
        return _Place(_Tier.UNDEFINED, 0.0)
    is_blob = cell.clustering is not None and cell.clustering.one_blob
    tier = _Tier.ONE_BLOB if blobs_last and is_blob else _Tier.SOUND
    return _Place(tier, -value if kind.better == "highest" else value)


def _why_none(cells: Sequence[Cell], kind: MetricKind) -> str:
    """The distinct reasons, in the order of the cells."""
    reasons = [cell.reason if cell.status == "failed" else kind.read(cell).reason for cell in cells]
    return "; ".join(dict.fromkeys(reason or "no reason was recorded" for reason in reasons)) or "there is no cell"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
