"""Counts, cost and the overall score, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from flows.core.settings import ScoreSettings
from flows.model.metric import Metric
from flows.model.points import Clustering, Points
from flows.model.records import ONE_BLOB_NOTE, Quality
from flows.steps.score import count_clusters, overall_score, performance


def make_points(weights: list[int]) -> Points:
    n_used = sum(weights)
    return Points(
        xy_m=np.arange(2.0 * len(weights)).reshape(-1, 2),
        weights=np.array(weights, dtype=np.int64),
        inverse=np.repeat(np.arange(len(weights)), weights),
        kept=np.ones(n_used, dtype=np.bool_),
        coordinate_type="pickup",
        kind="coordinates",
        n_rows=n_used,
        dropped={},
        rows_per_file=(n_used,),
        ingest_seconds=0.0,
        prepare_seconds=0.0,
    )


def make_clustering(
    labels: list[int], core: list[bool] | None = None, fit_seconds: float = 2.0, peak: int | None = 4096
) -> Clustering:
    return Clustering(
        labels=np.array(labels, dtype=np.int64),
        core=np.array(core if core is not None else [label >= 0 for label in labels], dtype=np.bool_),
        n_jobs=2,
        fit_seconds=fit_seconds,
        cpu_seconds=3.5,
        peak_memory_bytes=peak,
    )


def make_quality(silhouette: float | None = 0.5, davies_bouldin: float | None = 1.0) -> Quality:
    return Quality(
        silhouette=Metric(value=silhouette, reason=None if silhouette is not None else "one cluster"),
        davies_bouldin=Metric(value=davies_bouldin, reason=None if davies_bouldin is not None else "one cluster"),
        calinski_harabasz=Metric(value=100.0),
        silhouette_sample_size=10,
        silhouette_sample_clustered=8,
    )


QUARTER_NOISE = count_clusters(make_points([3, 3, 2]), make_clustering([0, 1, -1]))


def test_counts_are_in_used_points() -> None:
    counts = count_clusters(
        make_points([4, 1, 2, 3, 10]), make_clustering([0, 0, 1, -1, 1], [True, False, True, False, True])
    )
    assert (counts.n_clusters, counts.sizes) == (2, (5, 12))
    assert (counts.n_core, counts.n_border, counts.n_noise) == (16, 1, 3)
    assert counts.noise_ratio == Metric(value=3 / 20)
    assert counts.largest_cluster_share == Metric(value=12 / 20)


@pytest.mark.parametrize(("weights", "one_blob"), [([5, 5], False), ([6, 5], True), ([5, 6], True)])
def test_more_than_half_of_the_trips_is_one_blob(weights: list[int], one_blob: bool) -> None:
    counts = count_clusters(make_points(weights), make_clustering([0, 1]))
    assert counts.one_blob is one_blob
    assert counts.note == (ONE_BLOB_NOTE if one_blob else None)


def test_noise_counts_toward_the_half() -> None:
    assert not count_clusters(make_points([5, 5]), make_clustering([0, -1])).one_blob


def test_all_noise_has_no_largest_cluster() -> None:
    counts = count_clusters(make_points([2, 1]), make_clustering([-1, -1]))
    assert (counts.n_clusters, counts.sizes, counts.one_blob) == (0, (), False)
    assert counts.noise_ratio == Metric(value=1.0)
    assert counts.largest_cluster_share == Metric(value=None, reason="no cluster")


def test_no_points_have_no_ratio() -> None:
    counts = count_clusters(make_points([]), make_clustering([]))
    assert counts.noise_ratio == Metric(value=None, reason="no used points")
    assert (counts.n_clusters, counts.n_border) == (0, 0)


def test_performance_counts_trips_per_second_of_fit() -> None:
    cost = performance(make_points([4, 1]), make_clustering([0, 0], fit_seconds=2.0))
    assert (cost.n_jobs, cost.runtime_seconds, cost.cpu_seconds) == (2, 2.0, 3.5)
    assert cost.points_per_second == Metric(value=2.5)
    assert cost.peak_memory_bytes == Metric(value=4096.0)


def test_performance_says_why_a_number_is_missing() -> None:
    cost = performance(make_points([1]), make_clustering([0], fit_seconds=0.0, peak=None))
    for metric in (cost.points_per_second, cost.peak_memory_bytes):
        assert metric.value is None
        assert metric.reason


def test_score_by_hand() -> None:
    # quality = 0.5 * 1.5 / 2 + 0.25 / 2 + 0.25 * 0.75 = 0.6875; t = 5 s / 0.5 M = 10 s per million: performance 0.5.
    score = overall_score(make_quality(), QUARTER_NOISE, 5.0, 500_000, ScoreSettings())
    assert score.value == pytest.approx(0.7 * 0.6875 + 0.3 * 0.5, rel=1e-15)


def test_score_uses_the_settings() -> None:
    settings = ScoreSettings(
        quality_weight=0.4,
        performance_weight=0.6,
        silhouette_weight=0.2,
        davies_bouldin_weight=0.2,
        noise_weight=0.6,
        half_score_seconds=30.0,
    )
    score = overall_score(make_quality(), QUARTER_NOISE, 10.0, 1_000_000, settings)
    assert score.value == pytest.approx(0.4 * (0.2 * 0.75 + 0.2 * 0.5 + 0.6 * 0.75) + 0.6 * 0.75, rel=1e-15)


def test_best_possible_score_is_one() -> None:
    counts = count_clusters(make_points([1, 1]), make_clustering([0, 1]))
    score = overall_score(make_quality(1.0, 0.0), counts, 0.0, 1, ScoreSettings())
    assert score.value == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(
    ("quality", "n_used", "reason"),
    [
        (make_quality(silhouette=None), 8, "silhouette is not defined: one cluster"),
        (make_quality(davies_bouldin=None), 8, "Davies-Bouldin is not defined: one cluster"),
        (make_quality(), 0, "no used points"),
    ],
)
def test_undefined_part_makes_the_score_undefined(quality: Quality, n_used: int, reason: str) -> None:
    assert overall_score(quality, QUARTER_NOISE, 1.0, n_used, ScoreSettings()) == Metric(value=None, reason=reason)


def test_part_without_weight_may_be_undefined() -> None:
    settings = ScoreSettings(silhouette_weight=0.0, davies_bouldin_weight=0.5, noise_weight=0.5)
    score = overall_score(make_quality(silhouette=None), QUARTER_NOISE, 0.0, 1, settings)
    assert score.value == pytest.approx(0.7 * (0.5 * 0.5 + 0.5 * 0.75) + 0.3, rel=1e-15)
