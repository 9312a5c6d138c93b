"""Places on a lattice coarser than eps are told, whatever the lattice; full precision never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.model.points import Points
from flows.steps.lattice import find_lattice, lattice_note
from flows.steps.projection import project
from flows.steps.record import point_counts

Degrees = NDArray[np.float64]
USUAL_EPS_M = (50.0, 100.0, 150.0, 300.0, 500.0, 1000.0)


def make_points(lon: Degrees, lat: Degrees, kind: str = "coordinates") -> Points:
    xy_m, inverse = np.unique(project(lon, lat), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    return Points(
        xy_m=xy_m,
        weights=np.bincount(inverse),
        inverse=inverse,
        kept=np.ones(len(lon), np.bool_),
        coordinate_type="pickup",
        kind=kind,  # type: ignore[arg-type]
        n_rows=len(lon),
        dropped={},
        rows_per_file=(len(lon),),
        ingest_seconds=0.0,
        prepare_seconds=0.0,
    )


def city(n: int, seed: int = 0) -> tuple[Degrees, Degrees]:
    random = np.random.default_rng(seed)
    return random.normal(-73.97, 0.02, n), random.normal(40.75, 0.02, n)


def snap(step: float) -> Callable[[Degrees], Degrees]:
    return lambda degrees: np.round(degrees / step) * step


def half(degrees: Degrees) -> Degrees:
    return degrees.astype(np.float16).astype(np.float64)


@pytest.mark.parametrize(
    ("cut", "spacing_m"),
    [
        (half, (5267, 3474)),
        (snap(0.01), (843, 1112)),
        (snap(0.001), (84, 111)),
        (snap(1 / 60), (1404, 1853)),
        (lambda degrees: np.floor(degrees * 100) / 100, (843, 1112)),
    ],
)
@pytest.mark.parametrize("n_odd", [0, 1000])
def test_a_regular_lattice_is_told_with_its_size(
    cut: Callable[[Degrees], Degrees], spacing_m: tuple[float, float], n_odd: int
) -> None:
    lon, lat = city(20_000)
    lattice_lon, lattice_lat = cut(lon), cut(lat)
    lattice_lon[:n_odd], lattice_lat[:n_odd] = lon[:n_odd], lat[:n_odd]
    found = find_lattice(make_points(lattice_lon, lattice_lat), 50.0)
    assert found is not None
    assert found.spacing_m == pytest.approx(spacing_m, rel=0.01)


def test_a_lattice_finer_than_eps_is_none() -> None:
    lon, lat = city(20_000)
    points = make_points(snap(0.001)(lon), snap(0.001)(lat))
    assert find_lattice(points, 110.0) is not None
    assert find_lattice(points, 112.0) is None


def test_one_axis_is_enough() -> None:
    lon, lat = city(5_000)
    found = find_lattice(make_points(snap(0.01)(lon), lat), 200.0)
    assert found is not None
    assert found.describe() == "842 m"


def test_places_snapped_to_centroids_are_told() -> None:
    random = np.random.default_rng(0)
    centroids = np.column_stack([np.linspace(-74.0, -73.9, 60), 40.7 + random.random(60) / 10])
    chosen = centroids[random.integers(0, 60, 5000)]
    points = make_points(chosen[:, 0], chosen[:, 1])
    assert find_lattice(points, 50.0) is not None
    assert find_lattice(points, 20_000.0) is None


def test_zones_are_a_lattice_by_design() -> None:
    lon, lat = city(5_000)
    assert find_lattice(make_points(snap(0.01)(lon), snap(0.01)(lat), "zones"), 50.0) is None


@hypothesis_settings(max_examples=12)
@given(
    n=st.integers(20, 3000),
    spread=st.floats(0.001, 0.1),
    decimals=st.integers(5, 8),
    single=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_full_precision_is_no_lattice(n: int, spread: float, decimals: int, single: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    lon, lat = (np.round(random.normal(centre, spread, n), decimals) for centre in (-73.97, 40.75))
    if single:
        lon, lat = lon.astype(np.float32).astype(float), lat.astype(np.float32).astype(float)
    assert [find_lattice(make_points(lon, lat), eps_m) for eps_m in USUAL_EPS_M] == [None] * len(USUAL_EPS_M)


@hypothesis_settings(max_examples=12)
@given(step=st.floats(0.002, 0.03), eps_share=st.floats(0.05, 0.95), odd=st.floats(0, 0.1), seed=st.integers(0, 2**32))
def test_any_coarse_step_is_told(step: float, eps_share: float, odd: float, seed: int) -> None:
    lon, lat = city(4000, seed)
    is_odd = np.random.default_rng(seed).random(4000) < odd
    points = make_points(np.where(is_odd, lon, snap(step)(lon)), np.where(is_odd, lat, snap(step)(lat)))
    found = find_lattice(points, eps_share * step * 111_195 * np.cos(np.radians(40.75)))
    assert found is not None
    assert max(found.spacing_m) == pytest.approx(step * 111_195, rel=0.02)


def test_the_record_tells_it_beside_the_counts() -> None:
    lon, lat = city(5_000)
    points = make_points(snap(0.01)(lon), snap(0.01)(lat))
    note = point_counts(points, (100.0, 2000.0)).note
    assert note is not None
    assert note.startswith("coarse coordinates: places lie on a lattice of about 84")
    assert "wider than eps (100 m)" in note
    assert lattice_note(points, (2000.0,)) is None
    assert point_counts(make_points(lon, lat), (100.0,)).note is None


def test_real_coordinates_are_no_lattice(shared_data: Path) -> None:
    path = shared_data / "coords" / "yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet"
    table = pq.read_table(path)
    names = {name.lower(): name for name in table.column_names}
    lon, lat = (table[names[name]].to_numpy() for name in ("pickup_longitude", "pickup_latitude"))
    near = (np.abs(lon + 73.97) < 0.3) & (np.abs(lat - 40.7) < 0.25)
    points = make_points(lon[near].astype(float), lat[near].astype(float))
    assert [find_lattice(points, eps_m) for eps_m in USUAL_EPS_M] == [None] * len(USUAL_EPS_M)
