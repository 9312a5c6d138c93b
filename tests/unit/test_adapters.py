"""Every adapter equals scikit-learn on the expanded rows, element for element."""

from __future__ import annotations

import os

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN
from sklearn.neighbors import KDTree
from threadpoolctl import threadpool_info

from flows.adapters import workers
from flows.adapters.neighbours import estimate_neighbours
from flows.adapters.protocol import Adapter, Fit, Setting
from flows.adapters.registry import get_adapter
from flows.adapters.sklearn_parallel import SklearnParallelAdapter
from flows.adapters.sklearn_sequential import SklearnAdapter
from flows.adapters.tiles import Patch, cut, sort_into_cells, split
from flows.core.errors import ParameterError

Points = NDArray[np.float64]
Weights = NDArray[np.int64]
ORIGIN_M = np.array([300_000.0, 60_000.0])
ADAPTERS: list[Adapter] = [SklearnAdapter(), SklearnParallelAdapter(), SklearnParallelAdapter(tile_points=5)]


def ones(points_m: Points) -> Weights:
    return np.ones(len(points_m), dtype=np.int64)


def on_expanded_rows(points_m: Points, weights: Weights, eps_m: float, min_samples: int) -> Fit:
    """scikit-learn with every trip a row of its own; labels and core flags of each point's first row."""
    model = DBSCAN(eps=eps_m, min_samples=min_samples, algorithm="kd_tree").fit(np.repeat(points_m, weights, axis=0))
    core = np.zeros(int(weights.sum()), dtype=np.bool_)
    core[model.core_sample_indices_] = True
    first = np.cumsum(weights) - weights
    return Fit(model.labels_[first], core[first])


def assert_same(found: Fit, expected: Fit) -> None:
    assert found.labels.dtype == np.int64
    assert found.core.dtype == np.bool_
    np.testing.assert_array_equal(found.core, expected.core)
    np.testing.assert_array_equal(found.labels, expected.labels)


def city(n: int, seed: int) -> Points:
    """Distinct points on the 2^-10 m grid: hot spots over 10 km and 10 % noise."""
    random = np.random.default_rng(seed)
    centres, spread = random.uniform(0, 10_000, (20, 2)), random.uniform(50, 500, 20)
    spot = random.integers(0, 20, n)
    points_m = centres[spot] + random.normal(size=(n, 2)) * spread[spot][:, None]
    noise = random.random(n) < 0.1
    points_m[noise] = random.uniform(0, 10_000, (int(noise.sum()), 2))
    points_m = np.unique(np.round((points_m + ORIGIN_M) * 1024) / 1024, axis=0)
    return random.permutation(points_m)


@st.composite
def weighted_lattice(draw: st.DrawFn) -> tuple[Points, Weights, float]:
    """Distinct points on an integer lattice, on a line as often as not, where many distances are exactly eps."""
    step_m = draw(st.sampled_from([2.0**-10, 0.5, 1.0, 37.0]))
    width, height = draw(st.integers(1, 25)), draw(st.sampled_from([0, 3, 25]))
    spots = st.tuples(st.integers(0, width), st.integers(0, height))
    lattice = draw(st.lists(spots, min_size=1, max_size=80, unique=True))
    weights = draw(st.lists(st.sampled_from([1, 1, 1, 2, 3, 9]), min_size=len(lattice), max_size=len(lattice)))
    eps_m = step_m * draw(st.sampled_from([1, 2, 3, 5, 10]))
    return np.array(lattice) * step_m + ORIGIN_M, np.array(weights, dtype=np.int64), eps_m


@settings(max_examples=150, deadline=None)
@given(weighted_lattice(), st.sampled_from([1, 2, 3, 4, 5, 9, 20]))
def test_weights_count_as_that_many_rows(case: tuple[Points, Weights, float], min_samples: int) -> None:
    points_m, weights, eps_m = case
    expected = on_expanded_rows(points_m, weights, eps_m, min_samples)
    assert_same(SklearnAdapter().fit(points_m, weights, eps_m, min_samples, 1), expected)
    assert_same(SklearnParallelAdapter().fit(points_m, weights, eps_m, min_samples, 1), expected)


@settings(max_examples=150, deadline=None)
@given(weighted_lattice(), st.sampled_from([1, 2, 3, 5, 12]), st.integers(1, 40), st.integers(1, 3))
def test_any_number_of_tiles_gives_the_same(
    case: tuple[Points, Weights, float], min_samples: int, tile_points: int, n_jobs: int
) -> None:
    points_m, weights, eps_m = case
    expected = SklearnAdapter().fit(points_m, weights, eps_m, min_samples, 1)
    assert_same(SklearnParallelAdapter(tile_points).fit(points_m, weights, eps_m, min_samples, n_jobs), expected)


@pytest.mark.parametrize(("eps_m", "min_samples"), [(20.0, 5), (100.0, 5), (100.0, 60), (500.0, 300), (2000.0, 5)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_city_in_tiles_equals_scikit_learn(eps_m: float, min_samples: int, seed: int) -> None:
    points_m = city(4_000, seed)
    weights = np.random.default_rng(seed).integers(1, 5, len(points_m))
    expected = SklearnAdapter().fit(points_m, weights, eps_m, min_samples, 1)
    assert_same(SklearnParallelAdapter(tile_points=300).fit(points_m, weights, eps_m, min_samples, 2), expected)


@pytest.mark.parametrize("adapter", ADAPTERS)
class TestEdges:
    def test_no_points(self, adapter: Adapter) -> None:
        fit = adapter.fit(np.empty((0, 2)), np.empty(0, dtype=np.int64), 1.0, 1, 1)
        assert fit.labels.shape == fit.core.shape == (0,)

    @pytest.mark.parametrize(("weight", "label"), [(1, -1), (5, 0)])
    def test_one_point_is_core_by_its_own_weight_alone(self, adapter: Adapter, weight: int, label: int) -> None:
        fit = adapter.fit(np.array([[1.0, 2.0]]), np.array([weight]), 1.0, 5, 1)
        assert fit.labels.tolist() == [label]
        assert fit.core.tolist() == [label == 0]

    def test_min_samples_one_makes_every_point_core(self, adapter: Adapter) -> None:
        points_m = city(200, 3)
        fit = adapter.fit(points_m, ones(points_m), 50.0, 1, 1)
        assert fit.core.all()
        assert_same(fit, on_expanded_rows(points_m, ones(points_m), 50.0, 1))

    def test_all_noise(self, adapter: Adapter) -> None:
        points_m = np.stack([np.arange(50.0) * 10, np.zeros(50)], axis=1)
        fit = adapter.fit(points_m, ones(points_m), 9.0, 2, 1)
        assert not fit.core.any()
        assert (fit.labels == -1).all()

    def test_a_lattice_exactly_eps_apart_is_one_cluster(self, adapter: Adapter) -> None:
        points_m = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2) * 100 + ORIGIN_M
        fit = adapter.fit(points_m, ones(points_m), 100.0, 5, 1)
        assert set(fit.labels[fit.core]) == {0}
        assert (fit.labels == -1).sum() == 4  # each corner's two neighbours are no core points

    def test_a_border_point_goes_to_the_lowest_numbered_cluster_in_reach(self, adapter: Adapter) -> None:
        low, high = [[2.0, 0], [2.5, 0], [2.75, 0]], [[-2.0, 0], [-2.5, 0], [-2.75, 0]]
        points_m = np.array([[0.0, 0.0], *low, *high])
        fit = adapter.fit(points_m, ones(points_m), 2.0, 4, 1)
        assert fit.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
        assert not fit.core[0]
        assert_same(fit, on_expanded_rows(points_m, ones(points_m), 2.0, 4))

    def test_order_matters_only_for_numbers_and_contested_borders(self, adapter: Adapter) -> None:
        points_m = city(600, 4)
        turn = np.random.default_rng(5).permutation(len(points_m))
        one = adapter.fit(points_m, ones(points_m), 60.0, 4, 1)
        two = adapter.fit(points_m[turn], ones(points_m), 60.0, 4, 1)
        np.testing.assert_array_equal(one.core[turn], two.core)
        np.testing.assert_array_equal(one.labels[turn] == -1, two.labels == -1)
        pairs = set(zip(one.labels[turn][two.core].tolist(), two.labels[two.core].tolist(), strict=True))
        assert len(pairs) == one.labels.max() + 1 == two.labels.max() + 1

    def test_twice_gives_the_same_bytes(self, adapter: Adapter) -> None:
        points_m = city(600, 6)
        one, two = (adapter.fit(points_m, ones(points_m), 60.0, 4, 2) for _ in range(2))
        assert one.labels.tobytes() == two.labels.tobytes()
        assert one.core.tobytes() == two.core.tobytes()

    def test_many_settings_give_what_each_gives_alone_eps_outermost(self, adapter: Adapter) -> None:
        points_m = city(300, 7)
        cells = adapter.fit_many(points_m, ones(points_m), [50.0, 80.0], [3, 6], 1)
        assert [cell.setting for cell in cells] == [Setting(e, m) for e in (50.0, 80.0) for m in (3, 6)]
        for cell in cells:
            assert_same(cell.fit, adapter.fit(points_m, ones(points_m), *cell.setting, 1))
            assert cell.seconds > 0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"points_m": np.array([[0.0, 0], [np.nan, 1], [2, 2]])}, r"points_m\[1\] is \[nan, 1.0\]"),
            ({"points_m": np.array([[0.0, 0], [1, 1], [np.inf, -np.inf]])}, r"points_m\[2\] is \[inf, -inf\]"),
            ({"points_m": np.zeros((3, 3))}, r"shape \(3, 3\)"),
            ({"points_m": np.zeros(3)}, r"shape \(3,\)"),
            ({"points_m": np.zeros((3, 2), dtype=np.float32)}, "float32"),
            ({"points_m": [[0.0, 0.0]]}, "a list"),
            ({"weights": np.array([1, -2, 1])}, r"weights\[1\] is -2"),
            ({"weights": np.array([1, 1, 0])}, r"weights\[2\] is 0"),
            ({"weights": np.ones(3)}, "float64"),
            ({"weights": np.ones(2, dtype=np.int64)}, r"shape \(2,\) for 3 points"),
            ({"weights": np.full(3, 2**62)}, "add up"),
            ({"eps_m": 0.0}, "eps_m is 0.0"),
            ({"eps_m": -1.0}, "eps_m is -1.0"),
            ({"eps_m": float("nan")}, "eps_m is nan"),
            ({"eps_m": "500"}, "eps_m is '500'"),
            ({"min_samples": 0}, "min_samples is 0"),
            ({"min_samples": 2.5}, "min_samples is 2.5"),
            ({"n_jobs": 0}, "n_jobs is 0"),
        ],
    )
    def test_bad_input_is_refused(self, adapter: Adapter, change: dict[str, object], message: str) -> None:
        good = {"points_m": np.zeros((3, 2)), "weights": np.ones(3, dtype=np.int64)}
        arguments = {**good, "eps_m": 1.0, "min_samples": 1, "n_jobs": 1, **change}
        with pytest.raises(ParameterError, match=message):
            adapter.fit(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["loky", "threading", "sequential"])
def test_any_joblib_backend_gives_the_same(backend: str) -> None:
    points_m = city(2_000, 8)
    expected = SklearnAdapter().fit(points_m, ones(points_m), 100.0, 5, 1)
    with joblib.parallel_config(backend=backend):
        assert_same(SklearnParallelAdapter(tile_points=400).fit(points_m, ones(points_m), 100.0, 5, 2), expected)


def test_few_points_start_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(joblib, "Parallel")
    points_m = city(2_000, 9)
    assert get_adapter("sklearn_parallel").fit(points_m, ones(points_m), 100.0, 5, 2).core.any()


@pytest.mark.parametrize("caller", [("another-pod", os.getpid()), None], ids=["worker process", "thread"])
def test_workers_start_no_threads_of_their_own(caller: tuple[str, int] | None) -> None:
    def pool_sizes(patch: Patch) -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    points_m = city(200, 12)
    cells = sort_into_cells(points_m, 50.0)
    patch = cut(cells, split(cells, 200)[0], points_m[cells.order], ones(points_m))
    if caller is None:
        found = workers.in_workers(pool_sizes, iter([patch, patch]), 2, 2)
    else:
        found = [workers._alone(pool_sizes, caller, patch)]
    assert all(sizes <= {1} for sizes in found)


def test_tiles_part_the_points_evenly() -> None:
    cells = sort_into_cells(city(5_000, 10), 50.0)
    boxes = split(cells, 700)
    column, row = np.divmod(cells.keys, cells.height)
    sizes = []
    owners = np.zeros(len(cells.keys), dtype=np.int64)
    for box in boxes:
        inside = (box.left <= column) & (column < box.right) & (box.low <= row) & (row < box.high)
        owners += inside
        sizes.append(int(np.diff(cells.starts)[inside].sum()))
    assert (owners == 1).all()
    assert max(sizes) <= 700
    assert min(sizes) >= 200


def test_a_tiny_eps_over_a_wide_extent_keeps_memory_by_points_and_stays_exact() -> None:
    points_m = np.array([[0.0, 0.0], [2.0**-10, 0.0], [2.0**26, 2.0**26], [2.0**26, 2.0**26 + 2.0**-10]])
    fit = SklearnParallelAdapter(tile_points=1).fit(points_m, ones(points_m), 2.0**-10, 2, 1)
    assert fit.labels.tolist() == [0, 0, 1, 1]


def test_an_extent_beyond_the_cells_that_floats_can_tell_apart_is_refused() -> None:
    points_m = np.array([[0.0, 0.0], [1e12, 0.0]])
    with pytest.raises(ParameterError, match=r"span 1e\+12 m"):
        SklearnParallelAdapter().fit(points_m, ones(points_m), 2.0**-10, 2, 1)


@pytest.mark.parametrize("eps_m", [20.0, 100.0, 1000.0])
def test_neighbours_are_estimated_closely_from_counts(eps_m: float) -> None:
    points_m = city(20_000, 11)
    counted = KDTree(points_m).query_radius(points_m[::10], eps_m, count_only=True).mean()
    assert estimate_neighbours(points_m, eps_m) == pytest.approx(counted, rel=0.1)
