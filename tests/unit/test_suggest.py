"""Suggested eps values: k-distances equal those of the expanded rows, and the knee is where noise begins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from flows.core.errors import ParameterError
from flows.model.points import Kind, Points
from flows.steps import suggest as step
from flows.steps.evaluate import Sample, draw_sample
from flows.steps.suggest import eps_around, k_distances, knee, one_blob_limit, suggest

Floats = NDArray[np.float64]


def make_points(xy_m: Floats, weights: list[int], kind: Kind = "coordinates") -> Points:
    n_used = sum(weights)
    return Points(
        xy_m=np.asarray(xy_m, dtype=np.float64),
        weights=np.array(weights, dtype=np.int64),
        inverse=np.repeat(np.arange(len(weights), dtype=np.int32), weights),
        kept=np.ones(n_used, dtype=np.bool_),
        coordinate_type="pickup",
        kind=kind,
        n_rows=n_used,
        dropped={},
        rows_per_file=(n_used,),
        ingest_seconds=0.0,
        prepare_seconds=0.0,
    )


def by_brute_force(points: Points, sample: Sample, k: int) -> Floats:
    """All distances between expanded rows, sorted."""
    rows = points.xy_m[points.inverse]
    drawn = np.repeat(points.xy_m[sample.unique], sample.multiplicities, axis=0)
    found: Floats = np.sort(np.sort(cdist(drawn, rows), axis=1)[:, k - 1])
    return found


def city(n: int, seed: int = 0) -> Points:
    """Trips at three dense places, one in five of them anywhere in 20 km."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(0, 60, (n, 2)) + rng.choice([0, 3_000, 6_000], n)[:, None]
    xy_m = np.where(rng.random(n)[:, None] < 0.2, rng.uniform(-10_000, 10_000, (n, 2)), dense)
    return make_points(np.round(xy_m * 1024) / 1024, [1] * n)


@st.composite
def weighted_points(draw: st.DrawFn) -> Points:
    """Up to 30 distinct places on a small lattice, so that distances tie, with up to 4 trips each."""
    cells = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30, unique=True))
    weights = draw(st.lists(st.integers(1, 4), min_size=len(cells), max_size=len(cells)))
    return make_points(np.array(cells) * 0.5 + 300_000, weights)


@given(weighted_points(), st.data())
def test_k_distances_equal_brute_force_on_expanded_rows(points: Points, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, points.n_used))
    sample = draw_sample(points, data.draw(st.integers(1, points.n_used)), seed=data.draw(st.integers(0, 9)))
    found = k_distances(points, sample, k)
    assert len(found) == sample.size
    np.testing.assert_array_equal(found, by_brute_force(points, sample, k))


def test_batches_and_threads_do_not_change_the_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    points = city(500)
    sample = draw_sample(points, 200, seed=1)
    expected = by_brute_force(points, sample, 7)
    monkeypatch.setattr(step, "_NEIGHBOURS_PER_QUERY", 100)
    np.testing.assert_array_equal(k_distances(points, sample, 7, n_jobs=2), expected)


def test_the_point_itself_counts() -> None:
    points = make_points(np.array([[0.0, 0.0], [3.0, 4.0], [100.0, 0.0]]), [2, 1, 1])
    everything = draw_sample(points, 4, seed=0)
    assert k_distances(points, everything, 1).tolist() == [0, 0, 0, 0]
    assert k_distances(points, everything, 2).tolist()[:3] == [0, 0, 5]


def test_the_knee_is_the_corner_of_a_bent_line() -> None:
    assert knee(np.concatenate([np.linspace(0, 10, 900), np.linspace(10, 1_000, 100)[1:]])) == 10
    assert knee(np.full(50, 42.0)) == 42
    assert knee(np.array([7.0])) == 7


def test_the_knee_parts_dense_places_from_noise() -> None:
    found = suggest(city(5_000), [10, 5, 20], seed=0, n_jobs=1)
    assert (found.k, found.seed, found.sample_size) == (5, 0, 5_000)
    assert 30 < found.knee_m < 400  # dense places lie some metres apart, noise hundreds
    assert list(found.eps_values) == sorted(set(found.eps_values))
    assert found.eps_values == eps_around(found.knee_m)


def test_the_curve_is_thinned_evenly_with_both_ends() -> None:
    points = city(3_000)
    found = suggest(points, [5], seed=0, n_jobs=1)
    whole = k_distances(points, draw_sample(points, 3_000, seed=0), 5)
    assert len(found.distances_m) == 500
    assert (found.distances_m[0], found.distances_m[-1]) == (whole[0], whole[-1])
    assert list(found.distances_m) == sorted(found.distances_m)


def test_the_sample_is_drawn_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "SAMPLE_SIZE", 300)
    points = city(2_000)
    first = suggest(points, [5], seed=3, n_jobs=1)
    assert first.sample_size == 300
    assert suggest(points, [5], seed=3, n_jobs=2) == first
    assert suggest(points, [5], seed=4, n_jobs=1).distances_m != first.distances_m


def test_multiples_of_the_knee_are_rounded_to_10_m() -> None:
    assert eps_around(188.6) == (0.09, 0.14, 0.19, 0.28, 0.38)
    assert eps_around(10.0) == (0.01, 0.02)  # 5 and 7.5 m round to 10 m like 10 m itself
    assert eps_around(3.0) == (0.01,)
    with pytest.raises(ParameterError, match=r"knee.* at 2 m.*Give eps_values"):
        eps_around(2.0)


def test_zones_are_refused_with_the_reason() -> None:
    points = make_points(np.array([[0.0, 0.0], [900.0, 0.0], [0.0, 800.0]]), [60, 30, 3], kind="zones")
    with pytest.raises(ParameterError, match=r"97% of the distances .*k = 5.*are 0, as the source has zone ids"):
        suggest(points, [5, 10], seed=0, n_jobs=1)


def test_half_of_the_distances_may_be_zero() -> None:
    places = np.array([[0.0, 0.0], [900.0, 0.0], [920.0, 0.0], [910.0, 10.0], [0.0, 5_000.0]])
    assert suggest(make_points(places, [4, 1, 1, 1, 1]), [3], seed=0, n_jobs=1).knee_m == 20
    with pytest.raises(ParameterError, match="share their exact place with 2 others"):
        suggest(make_points(places, [5, 1, 1, 1, 1]), [3], seed=0, n_jobs=1)


def test_min_samples_1_suggests_nothing() -> None:
    with pytest.raises(ParameterError, match="min_samples 1 each trip is its own nearest"):
        suggest(city(100), [1, 5], seed=0, n_jobs=1)


@pytest.mark.parametrize("n", [0, 4])
def test_fewer_points_than_min_samples(n: int) -> None:
    with pytest.raises(ParameterError, match=f"{n} points are fewer than min_samples 5"):
        suggest(make_points(np.arange(2.0 * n).reshape(-1, 2), [1] * n), [5], seed=0, n_jobs=1)


def test_eps_stays_below_where_dense_places_join() -> None:
    lattice = np.stack(np.meshgrid(np.arange(30.0) * 40, np.arange(30.0) * 40), axis=-1).reshape(-1, 2)
    spread = np.random.default_rng(0).uniform(-20_000, 20_000, (400, 2)).round()
    points = make_points(np.concatenate([lattice, spread]), [1] * 1_300)
    found = suggest(points, [3], seed=0, n_jobs=1)
    assert found.knee_m == 40
    assert found.limit_m == 30  # at 40 m the lattice, more than half of the trips, is one cluster
    assert found.eps_values == (0.01, 0.02, 0.03, 0.04)


def test_one_place_with_most_trips_suggests_nothing() -> None:
    points = make_points(np.array([[0.0, 0.0], [900.0, 0.0], [0.0, 800.0]]), [60, 30, 3])
    with pytest.raises(ParameterError, match="even at 10 m one cluster holds more than half"):
        one_blob_limit(points, 100.0, 5, n_jobs=1)
