"""The grid adapter: equal to scikit-learn on points of the 2^-10 m grid, whatever the threads and the sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from flows.adapters.grid import GridAdapter
from flows.adapters.protocol import Fit
from flows.adapters.registry import get_adapter
from flows.core.errors import ParameterError
from flows.kernels import grid
from flows.kernels.grid_cells import lay_out, survey

UNIT_M = 2.0**-10
Points = NDArray[np.float64]
Weights = NDArray[np.int64]


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    GridAdapter().load()


def sklearn_fit(points_m: Points, weights: Weights, eps_m: float, min_samples: int) -> Fit:
    model = DBSCAN(eps=eps_m, min_samples=min_samples, algorithm="kd_tree").fit(points_m, sample_weight=weights)
    core = np.zeros(len(points_m), dtype=np.bool_)
    core[model.core_sample_indices_] = True
    return Fit(model.labels_.astype(np.int64), core)


def kernel_fit(
    points_m: Points, weights: Weights, eps_m: float, min_samples: int, n_threads: int, compare: bool = False
) -> Fit:
    """The kernels alone: as many blocks as asked for, whatever the machine has."""
    layout = lay_out(survey(points_m, weights, n_threads), eps_m)
    assert layout is not None
    counted = grid.count(points_m, weights, layout, eps_m, min_samples, min_samples, n_threads, compare)
    return Fit(*grid.label(grid.mark(counted, min_samples, n_threads)))


def fit(points_m: Points, eps_m: float, min_samples: int) -> Fit:
    return GridAdapter().fit(points_m, np.ones(len(points_m), np.int64), eps_m, min_samples, 2)


def same(a: Fit, b: Fit) -> None:
    np.testing.assert_array_equal(a.core, b.core)
    np.testing.assert_array_equal(a.labels, b.labels)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Points, Weights, float, int]:
    """Points with ties, repeats and lines, anywhere on the grid; eps from one unit up."""
    scale = draw(st.sampled_from([1, 2, 17, 1024]))
    extent = draw(st.sampled_from([1, 4, 12, 60]))
    place = st.tuples(st.integers(0, extent), st.integers(0, draw(st.sampled_from([0, extent]))))
    units = np.array(draw(st.lists(place, min_size=1, max_size=120)), dtype=np.float64) * scale
    if draw(st.booleans()):
        units = units[:, ::-1]
    origin = np.array(draw(st.tuples(st.integers(-(2**30), 2**30), st.integers(-(2**30), 2**30))))
    eps_units = scale * draw(st.sampled_from([1, 2, 3, 5, 13]))
    weights = draw(st.lists(st.sampled_from([1, 1, 2, 7]), min_size=len(units), max_size=len(units)))
    points_m = np.ascontiguousarray((units + origin) * UNIT_M)
    return points_m, np.array(weights, np.int64), eps_units * UNIT_M, draw(st.integers(1, 12))


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 8))
def test_equals_scikit_learn_on_any_threads_and_either_sort(
    case: tuple[Points, Weights, float, int], n_threads: int
) -> None:
    expected = sklearn_fit(*case)
    same(GridAdapter().fit(*case, 2), expected)
    same(kernel_fit(*case, n_threads), expected)
    same(kernel_fit(*case, n_threads, compare=True), expected)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_a_weight_stands_for_that_many_rows(case: tuple[Points, Weights, float, int]) -> None:
    points_m, weights, eps_m, min_samples = case
    rows = np.repeat(np.arange(len(points_m)), weights)
    expanded = fit(points_m[rows], eps_m, min_samples)
    weighted = GridAdapter().fit(*case, 1)
    same(expanded, Fit(weighted.labels[rows], weighted.core[rows]))


@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(0, 99))
def test_point_order_changes_numbers_only(case: tuple[Points, Weights, float, int], seed: int) -> None:
    points_m, weights, eps_m, min_samples = case
    order = np.random.default_rng(seed).permutation(len(points_m))
    expected = sklearn_fit(points_m[order], weights[order], eps_m, min_samples)
    found = GridAdapter().fit(points_m[order], weights[order], eps_m, min_samples, 2)
    same(found, expected)
    straight = GridAdapter().fit(*case, 2)
    np.testing.assert_array_equal(found.core, straight.core[order])
    np.testing.assert_array_equal(found.labels == -1, straight.labels[order] == -1)


@settings(max_examples=30, deadline=None)
@given(cases(), st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 4))
@example((np.zeros((1, 2)), np.ones(1, np.int64), 1.0, 1), [1, 2], 2)
def test_a_cell_of_fit_many_equals_its_own_fit(
    case: tuple[Points, Weights, float, int], min_samples_values: list[int], factor: int
) -> None:
    points_m, weights, eps_m, _ = case
    cells = GridAdapter().fit_many(points_m, weights, [eps_m, eps_m * factor], min_samples_values, 2)
    wanted = [(eps, k) for eps in (eps_m, eps_m * factor) for k in min_samples_values]
    assert [tuple(cell.setting) for cell in cells] == wanted
    for cell in cells:
        same(cell.fit, GridAdapter().fit(points_m, weights, *cell.setting, 2))


def big(n: int, seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    spots = random.uniform(0, 8000, (30, 2))
    near = spots[random.integers(0, 30, n)] + random.normal(size=(n, 2)) * random.choice([20.0, 200.0], (n, 1))
    near[: n // 8] = random.uniform(0, 8000, (n // 8, 2))
    return np.round(random.permutation(near) * 1024) * UNIT_M


@pytest.mark.parametrize(("eps_m", "min_samples"), [(15.0, 5), (60.0, 12), (60.0, 60), (400.0, 10)])
def test_a_city_equals_scikit_learn_on_1_to_8_threads(eps_m: float, min_samples: int) -> None:
    points_m = big(12_000)
    weights = np.ones(len(points_m), np.int64)
    expected = sklearn_fit(points_m, weights, eps_m, min_samples)
    for n_threads in range(1, 9):
        found = kernel_fit(points_m, weights, eps_m, min_samples, n_threads, compare=n_threads % 2 == 0)
        same(found, expected)
        assert found.labels.tobytes() == kernel_fit(points_m, weights, eps_m, min_samples, n_threads).labels.tobytes()


def test_real_points_equal_scikit_learn(shared_data: Path) -> None:
    import pandas as pd
    from pyproj import Transformer

    file = next((shared_data / "coords").glob("taxifare_2009-2015_with_time*.parquet"))
    trips = pd.read_parquet(file, columns=["pickup_longitude", "pickup_latitude"])
    lon, lat = trips.pickup_longitude, trips.pickup_latitude
    inside = lon.between(-74.3, -73.65) & lat.between(40.45, 40.95)
    projected = Transformer.from_crs(4326, 32118, always_xy=True).transform(lon[inside], lat[inside])
    points_m, weights = np.unique(np.round(np.column_stack(projected) * 1024) * UNIT_M, axis=0, return_counts=True)
    for eps_m, min_samples in ((50.0, 5), (100.0, 10), (500.0, 20)):
        same(
            GridAdapter().fit(points_m, weights, eps_m, min_samples, 2),
            sklearn_fit(points_m, weights, eps_m, min_samples),
        )


def test_a_lattice_exactly_eps_apart_is_one_cluster() -> None:
    side = np.arange(60) * 37.0
    points_m = np.array(np.meshgrid(side, side)).reshape(2, -1).T.copy()
    found = fit(points_m, 37.0, 5)
    same(found, sklearn_fit(points_m, np.ones(len(points_m), np.int64), 37.0, 5))
    assert found.core.sum() == 58 * 58
    assert (found.labels == -1).sum() == 4  # corners touch border points only
    assert (fit(points_m, 37.0 - UNIT_M, 2).labels == -1).all()


def test_two_dense_cells_a_unit_too_far_apart_stay_two() -> None:
    y = np.arange(3000) * UNIT_M
    apart = np.concatenate([np.column_stack([0 * y, y]), np.column_stack([0 * y + 10 + UNIT_M, y])])
    assert fit(apart, 10.0, 5).labels.max() == 1
    apart[-1, 0] -= UNIT_M
    assert fit(apart, 10.0, 5).labels.max() == 0


def test_a_border_point_goes_to_the_lowest_numbered_cluster_in_reach() -> None:
    bridge, right, left = [[0.0, 0.0]], [[x, 0.0] for x in (10.0, 11, 12, 13)], [[-x, 0.0] for x in (10.0, 11, 12, 13)]
    for points in (bridge + right + left, bridge + left + right):
        found = fit(np.array(points), 10.0, 5)
        assert np.flatnonzero(found.core).tolist() == [1, 5]
        assert found.labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert fit(np.array(left + right + bridge), 10.0, 5).labels[-1] == 0


def test_distant_points_need_no_memory_for_the_cells_between() -> None:
    points_m = np.array([[0.0, 0.0], [1e6, 1e6], [1e6, 1e6 + 1], [-1e6, 5.0]])
    assert fit(points_m, 1.0, 2).labels.tolist() == [-1, 0, 0, -1]


def test_edges() -> None:
    assert fit(np.empty((0, 2)), 1.0, 1).labels.shape == (0,)
    assert fit(np.zeros((1, 2)), 1.0, 1).labels.tolist() == [0]
    assert fit(np.zeros((1, 2)), 1.0, 2).labels.tolist() == [-1]
    assert fit(np.arange(6.0).reshape(3, 2), UNIT_M, 1).labels.tolist() == [0, 1, 2]
    assert (fit(big(2000), 1e6, 5).labels == 0).all()
    heavy = GridAdapter().fit(np.zeros((1, 2)), np.array([2**62]), 1.0, 2**62, 1)
    assert heavy.core.tolist() == [True]
    assert not GridAdapter().fit(np.zeros((1, 2)), np.array([2**62]), 1.0, 2**70, 1).core.any()


def test_read_only_and_strided_arrays_are_taken() -> None:
    points_m = big(500)
    expected = fit(points_m, 60.0, 5)
    strided = np.repeat(points_m, 2, axis=0)[::2]
    points_m.flags.writeable = False
    same(fit(points_m, 60.0, 5), expected)
    same(fit(strided, 60.0, 5), expected)


@pytest.mark.parametrize(
    ("points_m", "weights", "message"),
    [
        ([[0.0, np.nan]], [1], r"points_m\[0\]"),
        ([[0.0, 0.0], [np.inf, 0.0]], [1, 1], r"points_m\[1\]"),
        ([[0.0, 0.0]], [-1], r"weights\[0\] is -1"),
        ([[0.0, 0.0]] * 2, [2**62, 2**62], "add up"),
        ([[0.0, 0.0, 0.0]], [1], "shape"),
        ([[0.0, 0.0]], [1, 1], "shape"),
        ([[-1e300, 0.0], [1e300, 0.0]], [1, 1], "larger eps"),
    ],
)
def test_bad_input_is_refused(points_m: list[list[float]], weights: list[int], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        GridAdapter().fit(np.array(points_m), np.array(weights, np.int64), 1.0, 1, 1)


def test_other_types_are_refused() -> None:
    with pytest.raises(ParameterError, match="float64"):
        GridAdapter().fit(np.zeros((1, 2), np.float32), np.ones(1, np.int64), 1.0, 1, 1)
    with pytest.raises(ParameterError, match="int64"):
        GridAdapter().fit(np.zeros((1, 2)), np.ones(1), 1.0, 1, 1)  # type: ignore[arg-type]


def test_it_is_registered() -> None:
    adapter = get_adapter("grid")
    assert adapter.name == "grid"
    assert adapter.estimate_bytes(np.zeros((1000, 2)), 1.0, 5, 8) > 1000 * 50
