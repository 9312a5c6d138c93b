"""What a clustering came to: counts, cost, and the one number that ranks settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.core.settings import ScoreSettings
from flows.model.metric import Metric
from flows.model.points import Clustering, Points
from flows.model.records import ONE_BLOB_NOTE, ClusterCounts, Performance, Quality
from flows.steps.measure import MIN_PEAK_BYTES


@dataclass(frozen=True)
class Scores:
    """All that is said of a clustering. seconds: what saying it took."""

    counts: ClusterCounts
    performance: Performance
    quality: Quality | None
    overall_score: Metric
    seconds: float


def score(
    points: Points, clustering: Clustering, quality: Quality | None, weights: ScoreSettings, seconds: float
) -> Scores:
    """Bring the numbers of a clustering together; without quality there is no overall score."""
    counts = count_clusters(points, clustering)
    overall = (
        Metric(value=None, reason="not judged: evaluation_pipeline does that")
        if quality is None
        else overall_score(quality, counts, clustering.fit_seconds, points.n_used, weights)
    )
    return Scores(counts, performance(points, clustering), quality, overall, seconds)


def count_clusters(points: Points, clustering: Clustering) -> ClusterCounts:
    """Count clusters, core, border and noise points, and cluster sizes, in used points before the collapse.

    `one_blob` says that one cluster holds more than half of the used points.
    """
    # Noise is -1, so place 0; sums of weights are exact in float64 below 2^53.
    trips = np.bincount(clustering.labels + 1, weights=points.weights, minlength=1).astype(np.int64)
    n_noise, sizes, n_clusters = int(trips[0]), trips[1:], len(trips) - 1
    n_core = int(points.weights[clustering.core].sum())
    largest = int(sizes.max(initial=0))
    one_blob = 2 * largest > points.n_used
    return ClusterCounts(
        n_clusters=n_clusters,
        n_core=n_core,
        n_border=points.n_used - n_core - n_noise,
        n_noise=n_noise,
        noise_ratio=_share(n_noise, points.n_used),
        largest_cluster_share=_share(largest, points.n_used) if n_clusters else Metric(value=None, reason="no cluster"),
        one_blob=one_blob,
        note=ONE_BLOB_NOTE if one_blob else None,
        sizes=tuple(sizes.tolist()),
    )


def _share(part: int, whole: int) -> Metric:
    return Metric(value=part / whole) if whole else Metric(value=None, reason="no used points")


def performance(points: Points, clustering: Clustering) -> Performance:
    """What the adapter's `fit` cost; points per second counts used points before the collapse."""
    seconds, peak = clustering.fit_seconds, clustering.peak_memory_bytes
    return Performance(
        n_jobs=clustering.n_jobs,
        runtime_seconds=seconds,
        cpu_seconds=clustering.cpu_seconds,
        points_per_second=Metric(value=points.n_used / seconds)
        if seconds > 0
        else Metric(value=None, reason="the fit was shorter than the clock can tell"),
        peak_memory_bytes=Metric(value=float(peak))
        if peak is not None
        else Metric(value=None, reason=f"less than {MIN_PEAK_BYTES / 2**20:g} MiB, too little to measure"),
    )


def overall_score(
    quality: Quality, counts: ClusterCounts, fit_seconds: float, n_used: int, score: ScoreSettings
) -> Metric:
    """One number in [0, 1] that ranks settings; larger is better.

    overall_score = 0.7 quality + 0.3 performance
    quality       = 0.5 (silhouette + 1) / 2 + 0.25 / (1 + Davies-Bouldin) + 0.25 (1 - noise ratio)
    performance   = 1 / (1 + t / 10 s)

    t is the seconds of the adapter's `fit` alone per million used points before the collapse. The weights and the
    10 s are those of `score`; the numbers above are the defaults. Undefined where a part with a weight is undefined.

    Args:
        quality: from `evaluate`.
        counts: from `count_clusters`.
        fit_seconds: seconds of the adapter's `fit`.
        n_used: used points before the collapse.
        score: weights and scale, recorded with the result.
    """
    parts = {
        "silhouette": (quality.silhouette, score.silhouette_weight),
        "Davies-Bouldin": (quality.davies_bouldin, score.davies_bouldin_weight),
        "noise ratio": (counts.noise_ratio, score.noise_weight),
    }
    if n_used == 0:
        return Metric(value=None, reason="no used points")
    for name, (metric, weight) in parts.items():
        if metric.value is None and weight * score.quality_weight > 0:
            return Metric(value=None, reason=f"{name} is not defined: {metric.reason}")
    return Metric(
        value=score.quality_weight * _quality(quality, counts, score)
        + score.performance_weight / (1 + fit_seconds / (n_used / 1e6) / score.half_score_seconds)
    )


def _quality(quality: Quality, counts: ClusterCounts, score: ScoreSettings) -> float:
    """The quality part of the score; an undefined metric has weight 0 here and adds nothing."""
    silhouette, davies_bouldin, noise = (
        quality.silhouette.value,
        quality.davies_bouldin.value,
        counts.noise_ratio.value,
    )
    return (
        (score.silhouette_weight * (silhouette + 1) / 2 if silhouette is not None else 0.0)
        + (score.davies_bouldin_weight / (1 + davies_bouldin) if davies_bouldin is not None else 0.0)
        + (score.noise_weight * (1 - noise) if noise is not None else 0.0)
    )
