"""The metrics count trips and equal scikit-learn's on the expanded rows."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from sklearn.metrics.cluster import _unsupervised

from flows.model.metric import Metric
from flows.model.points import Points
from flows.model.records import Quality
from flows.steps.evaluate import Sample, draw_sample, evaluate, evaluate_many, load_kernels

CITY_M = np.array([300_000.0, 60_000.0])
"""Where New York lies in EPSG:32118; scikit-learn is given the points without it, as it loses digits there."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def make_points(xy_m: Floats, weights: Ints) -> Points:
    n_used = int(weights.sum())
    return Points(
        xy_m=np.asarray(xy_m, dtype=np.float64),
        weights=np.asarray(weights, dtype=np.int64),
        inverse=np.repeat(np.arange(len(weights), dtype=np.int32), weights),
        kept=np.ones(n_used, dtype=np.bool_),
        coordinate_type="pickup",
        kind="coordinates",
        n_rows=n_used,
        dropped={},
        rows_per_file=(n_used,),
        ingest_seconds=0.0,
        prepare_seconds=0.0,
    )


def everything(points: Points) -> Sample:
    return draw_sample(points, points.n_used + 1, seed=0)


def expand(points: Points, labels: Ints) -> tuple[Floats, Ints]:
    """One row per clustered trip, near the origin."""
    rows = labels[points.inverse] >= 0
    return points.xy_m[points.inverse][rows] - CITY_M, labels[points.inverse][rows]


def assert_equal(metric: Metric, expected: float) -> None:
    assert metric.value is not None, metric.reason
    np.testing.assert_allclose(metric.value, expected, rtol=1e-9, atol=1e-13)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    load_kernels()


@pytest.fixture
def blobs() -> tuple[Points, Ints]:
    """Six blobs with duplicates, a singleton cluster and noise, on the 2^-10 m grid."""
    rng = np.random.default_rng(1)
    centres = rng.uniform(0, 20_000, (6, 2))
    labels = rng.integers(-1, 6, 600)
    spread = rng.normal(0, 150, (600, 2))
    xy = np.where(labels[:, None] >= 0, centres[labels] + spread, rng.uniform(0, 20_000, (600, 2)))
    labels[0], xy[0] = 6, (9_000.0, 1_000.0)
    weights = np.where(rng.random(600) < 0.3, rng.integers(2, 9, 600), 1)
    weights[0] = 1
    return make_points(np.round(xy * 1024) / 1024 + CITY_M, weights), labels


@pytest.fixture
def cells(blobs: tuple[Points, Ints]) -> list[Ints]:
    """Labels as a sweep gives them, some of them undefined."""
    points, labels = blobs
    merged = np.where(labels > 3, 3, labels)
    sparse = np.where(labels > 1, -1, labels)
    return [labels, merged, np.full(points.n_unique, -1), sparse, np.zeros(points.n_unique, dtype=np.int64)]


def test_equals_scikit_learn_on_the_expanded_rows(blobs: tuple[Points, Ints]) -> None:
    points, labels = blobs
    quality = evaluate(points, everything(points), labels)
    rows, row_labels = expand(points, labels)
    # Distances are given: scikit-learn's own, by dot products, put duplicates some micrometres apart.
    assert_equal(quality.silhouette, silhouette_score(cdist(rows, rows), row_labels, metric="precomputed"))
    assert_equal(quality.davies_bouldin, davies_bouldin_score(rows, row_labels))
    assert_equal(quality.calinski_harabasz, calinski_harabasz_score(rows, row_labels))
    assert quality.silhouette_sample_size == points.n_used
    assert quality.silhouette_sample_clustered == len(rows)


def test_silhouette_is_that_of_the_drawn_trips(blobs: tuple[Points, Ints]) -> None:
    points, labels = blobs
    sample = draw_sample(points, 200, seed=3)
    drawn = np.repeat(sample.unique, sample.multiplicities)
    drawn = drawn[labels[drawn] >= 0]
    rows = points.xy_m[drawn]
    quality = evaluate(points, sample, labels)
    assert_equal(quality.silhouette, silhouette_score(cdist(rows, rows), labels[drawn], metric="precomputed"))
    assert (quality.silhouette_sample_size, quality.silhouette_sample_clustered) == (200, len(drawn))


@st.composite
def labelled_points(draw: st.DrawFn) -> tuple[Points, Ints]:
    """Up to 40 distinct points of a small lattice: many ties, duplicates, singletons and coinciding centroids."""
    place = st.tuples(st.integers(0, 6), st.integers(0, 6))
    xy = np.array(draw(st.lists(place, min_size=1, max_size=40, unique=True)), dtype=np.float64)
    weights = np.array(draw(st.lists(st.integers(1, 4), min_size=len(xy), max_size=len(xy))))
    labels = np.array(draw(st.lists(st.integers(-1, 5), min_size=len(xy), max_size=len(xy))))
    return make_points(xy + CITY_M, weights), labels


@given(labelled_points())
@settings(max_examples=200, deadline=None)
def test_equals_scikit_learn_on_any_clustering(case: tuple[Points, Ints]) -> None:
    points, labels = case
    quality = evaluate(points, everything(points), labels)
    rows, row_labels = expand(points, labels)
    n_labels = len(np.unique(row_labels))
    if not 2 <= n_labels <= len(rows) - 1:
        assert quality.silhouette.value is quality.davies_bouldin.value is quality.calinski_harabasz.value is None
        assert quality.silhouette.reason
        assert quality.davies_bouldin.reason
        return
    with pytest.MonkeyPatch.context() as patch:
        # Exact distances in scikit-learn's formulas: its dot products lose half of the digits of a short distance.
        patch.setattr(_unsupervised, "pairwise_distances", lambda x, y=None: cdist(x, x if y is None else y))
        davies_bouldin = davies_bouldin_score(rows, row_labels)
    assert_equal(quality.silhouette, silhouette_score(cdist(rows, rows), row_labels, metric="precomputed"))
    if _all_coincide(rows, row_labels):
        assert quality.davies_bouldin == Metric(value=None, reason="the centroids of all clusters coincide")
    else:
        assert_equal(quality.davies_bouldin, davies_bouldin)
    if len(np.unique(np.column_stack([rows, row_labels]), axis=0)) == n_labels:
        assert quality.calinski_harabasz.value is None
        assert "nothing to divide by" in str(quality.calinski_harabasz.reason)
    else:
        assert_equal(quality.calinski_harabasz, calinski_harabasz_score(rows, row_labels))


def _all_coincide(rows: Floats, labels: Ints) -> bool:
    centroids = np.array([rows[labels == k].mean(axis=0) for k in np.unique(labels)])
    return bool(np.all(centroids == centroids[0]))


def test_evaluate_many_gives_the_bits_of_evaluate_on_any_threads(blobs: tuple[Points, Ints], cells: list[Ints]) -> None:
    points, _ = blobs
    sample = draw_sample(points, 500, seed=0)
    alone = [evaluate(points, sample, labels) for labels in cells]
    for n_jobs in (1, 2, 3):
        assert evaluate_many(points, sample, cells, n_jobs) == alone
    assert evaluate_many(points, sample, []) == []


def test_thousands_of_clusters_equal_scikit_learn() -> None:
    # More than one block of clusters, so that blocks are skipped; one wide cluster defeats a bound by distance alone.
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 30_000, (2_000, 2))
    xy = (centres[:, None] + rng.normal(0, 20, (2_000, 3, 2))).reshape(-1, 2)
    wide = rng.normal(15_000, 4_000, (500, 2))
    labels = np.concatenate([np.repeat(np.arange(2_000), 3), np.full(500, 2_000)])
    xy_m = np.round(np.concatenate([xy, wide]) * 1024) / 1024 + CITY_M
    points = make_points(xy_m, rng.integers(1, 4, len(xy_m)))
    quality = evaluate(points, draw_sample(points, 1_000, seed=0), labels, n_jobs=2)
    rows, row_labels = expand(points, labels)
    assert_equal(quality.davies_bouldin, davies_bouldin_score(rows, row_labels))
    assert_equal(quality.calinski_harabasz, calinski_harabasz_score(rows, row_labels))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([-1, -1, -1, -1], r"fewer than two clusters .*\(0 found\)"),
        ([0, 0, 0, -1], r"fewer than two clusters .*\(1 found\)"),
        ([0, 1, 2, -1], "every cluster .* is a single trip"),
    ],
)
def test_undefined_is_none_with_the_reason(labels: list[int], reason: str) -> None:
    points = make_points(np.arange(8.0).reshape(4, 2), np.ones(4, dtype=np.int64))
    quality = evaluate(points, everything(points), np.array(labels))
    for metric in (quality.silhouette, quality.davies_bouldin, quality.calinski_harabasz):
        assert metric.value is None
        assert metric.reason is not None
        assert re.search(reason, metric.reason)


def test_one_cluster_in_the_sample_leaves_the_other_metrics_defined() -> None:
    points = make_points(np.array([[0.0, 0.0], [1.0, 0.0], [50.0, 0.0], [51.0, 0.0]]), np.ones(4, dtype=np.int64))
    sample = Sample(np.array([0, 1]), np.array([1, 1]))
    quality: Quality = evaluate(points, sample, np.array([0, 0, 1, 1]))
    assert quality.silhouette.value is None
    assert "the sampled trips (1 found)" in str(quality.silhouette.reason)
    assert_equal(quality.davies_bouldin, 1 / 50)


def test_single_positions_are_perfectly_compact() -> None:
    # A zone month whose zones are clusters of their own.
    points = make_points(np.array([[0.0, 0.0], [900.0, 0.0]]) + CITY_M, np.array([7, 5]))
    quality = evaluate(points, everything(points), np.array([0, 1]))
    assert (quality.silhouette.value, quality.davies_bouldin.value) == (1.0, 0.0)
    assert quality.calinski_harabasz.value is None


@pytest.mark.parametrize("labels", [np.zeros(3, dtype=np.int64), np.array([0, -2])])
def test_wrong_labels_are_refused(labels: Ints) -> None:
    points = make_points(np.zeros((2, 2)), np.array([1, 1]))
    with pytest.raises(ValueError, match="label"):
        evaluate(points, everything(points), labels)


def test_sample_is_seeded_and_counts_trips(blobs: tuple[Points, Ints]) -> None:
    points, _ = blobs
    first, again, other = (draw_sample(points, 300, seed) for seed in (5, 5, 6))
    assert np.array_equal(first.unique, again.unique)
    assert np.array_equal(first.multiplicities, again.multiplicities)
    assert not np.array_equal(first.unique, other.unique)
    assert first.size == 300
    assert np.all(np.diff(first.unique) > 0)
    assert np.all((first.multiplicities >= 1) & (first.multiplicities <= points.weights[first.unique]))


def test_sample_is_uniform_over_trips() -> None:
    points = make_points(np.arange(4.0).reshape(2, 2), np.array([900, 100]))
    drawn = [draw_sample(points, 100, seed) for seed in range(200)]
    rare = np.mean([sample.multiplicities[sample.unique == 1].sum() for sample in drawn])
    assert 9 < rare < 11


def test_small_data_is_sampled_whole(blobs: tuple[Points, Ints]) -> None:
    points, _ = blobs
    for size in (points.n_used, points.n_used + 1):
        sample = draw_sample(points, size, seed=0)
        assert np.array_equal(sample.unique, np.arange(points.n_unique))
        assert np.array_equal(sample.multiplicities, points.weights)


def test_empty_sample_size_is_refused(blobs: tuple[Points, Ints]) -> None:
    with pytest.raises(ValueError, match="size 0"):
        draw_sample(blobs[0], 0, seed=0)
