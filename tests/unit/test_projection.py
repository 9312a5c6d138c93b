"""The fast projection is PROJ's, bit for bit after rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from flows.core.errors import SettingsError
from flows.core.settings import CityBox
from flows.steps.prepare import classify_coordinates
from flows.steps.projection import grid_projection, pack, project

BOX = CityBox()


@given(seed=st.integers(0, 2**32), west=st.floats(-75, -74.0), south=st.floats(40.0, 40.6), side=st.floats(0.01, 1.0))
@settings(max_examples=30)
def test_keys_are_those_of_proj(seed: int, west: float, south: float, side: float) -> None:
    box = CityBox(lon_min=west, lon_max=west + side, lat_min=south, lat_max=south + side)
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(west, west + side, 2000), rng.uniform(south, south + side, 2000)
    lon[:2], lat[:2] = (box.lon_min, box.lon_max), (box.lat_min, box.lat_max)
    status, keys = grid_projection(box).locate(lon, lat)
    assert (status == 0).all()
    assert (keys == pack(project(lon, lat))).all()


def test_reasons_in_their_order() -> None:
    nan = np.nan
    lon = np.array([-73.9, nan, -73.9, 0.0, nan, -73.9, -74.31, np.inf, -74.30, -73.65])
    lat = np.array([40.7, 40.7, nan, 40.7, 0.0, 0.0, 40.7, 40.7, 40.45, 40.95])
    assert classify_coordinates(lon, lat, BOX).tolist() == [0, 1, 1, 2, 1, 2, 3, 3, 0, 0]


def test_metres_are_metres_on_the_ground() -> None:
    lon, lat = np.array([-73.98, -73.98]), np.array([40.70, 40.745])
    xy_m = project(lon, lat)
    _, _, ground_m = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
    assert np.hypot(*(xy_m[1] - xy_m[0])) == pytest.approx(ground_m, rel=1e-3)
    assert (xy_m * 1024 == np.rint(xy_m * 1024)).all()


def test_a_box_beyond_the_projection_is_refused() -> None:
    with pytest.raises(SettingsError, match="TAXI_CITY_BOX"):
        grid_projection(CityBox(lon_min=-170, lon_max=170, lat_min=-80, lat_max=80))
