"""WGS84 degrees to EPSG:32118 metres (NAD83 / New York Long Island), rounded to 2^-10 m.

The projection is a Lambert conformal conic: x = E + rho sin(theta), y = y0(lat) + rho (1 - cos(theta)), with
theta = n (lon - lon0), rho = rho0 - y0(lat) and y0 the northing on the central meridian (Snyder, Map Projections - A
Working Manual, USGS Professional Paper 1395, pages 104-110). Over a city y0 is a polynomial of low degree. It is fitted
to PROJ's own answers, its error is measured against PROJ, and each point so near to a rounding boundary that the error
could tip it is given to PROJ itself: what comes out is bit for bit what PROJ followed by rounding gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from pyproj import CRS

from flows.core.crs import LONG_ISLAND_M, to_metres
from flows.core.errors import SettingsError
from flows.core.settings import CityBox
from flows.kernels import locate as kernel
from flows.model.spec import UNITS_PER_METRE

_DEGREE = 8
_WORST_FIT_M = 1e-5


@dataclass(frozen=True, eq=False)
class GridProjection:
    """The constants of the fast path for one city box."""

    box: NDArray[np.float64]
    lon0: float
    cone: float
    rho0_m: float
    lat_mid: float
    lat_half: float
    northing: NDArray[np.float64]
    x0_m: float
    tolerance_m: float

    def locate(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Judge m points and give their grid keys.

        Returns:
            status: uint8[m], 0 used, 1 null, 2 zero, 3 outside the box; the first that applies.
            keys: int64[m] grid keys where status is 0.
        """
        status, keys = np.empty(len(lon), np.uint8), np.empty(len(lon), np.int64)
        self._run_kernel(lon, lat, status, keys)
        unsure = np.flatnonzero(status == kernel.ASK_PROJ)
        if len(unsure):
            keys[unsure] = pack(project(lon[unsure], lat[unsure]))
            status[unsure] = kernel.USED
        return status, keys

    def _run_kernel(
        self, lon: NDArray[np.float64], lat: NDArray[np.float64], status: NDArray[np.uint8], keys: NDArray[np.int64]
    ) -> None:
        kernel.locate(
            np.ascontiguousarray(lon),
            np.ascontiguousarray(lat),
            self.box,
            self.lon0,
            self.cone,
            self.rho0_m,
            self.lat_mid,
            self.lat_half,
            self.northing,
            self.x0_m,
            self.tolerance_m * UNITS_PER_METRE,
            status,
            keys,
        )


def project(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give float64[m, 2] metres on the 2^-10 m grid, by PROJ."""
    xy_m = np.column_stack(to_metres().transform(lon, lat))
    rounded: NDArray[np.float64] = np.rint(xy_m * UNITS_PER_METRE) / UNITS_PER_METRE
    return rounded


def pack(xy_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """Grid keys int64[m] of points float64[m, 2] on the 2^-10 m grid (flows.kernels.locate says what a key is)."""
    units = (xy_m * UNITS_PER_METRE).astype(np.int64)
    keys: NDArray[np.int64] = (units[:, 0] << 32) | (units[:, 1] & 0xFFFFFFFF)
    return keys


def unpack(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Points float64[m, 2], metres, of grid keys int64[m]: what `pack` takes."""
    xy_m = np.empty((len(keys), 2))
    xy_m[:, 0] = keys >> 32
    xy_m[:, 1] = keys.astype(np.int32)  # the lower half, with its sign
    xy_m /= UNITS_PER_METRE
    return xy_m


@lru_cache(maxsize=4)
def grid_projection(box: CityBox) -> GridProjection:
    """Fit the fast path to PROJ over one box.

    Raises:
        SettingsError: the box is so large or so far from New York that the projection does not hold.
    """
    lon0, cone, rho0_m, x0_m = _conic()
    lat_mid, lat_half = (box.lat_min + box.lat_max) / 2, (box.lat_max - box.lat_min) / 2
    nodes = np.cos(np.pi * (np.arange(4 * _DEGREE) + 0.5) / (4 * _DEGREE))
    _, northing_m = to_metres().transform(np.full(len(nodes), lon0), lat_mid + lat_half * nodes)
    fitted = Chebyshev.fit(nodes, northing_m, _DEGREE, domain=[-1, 1]).convert(kind=Polynomial)
    projection = GridProjection(
        box=np.array([box.lon_min, box.lon_max, box.lat_min, box.lat_max]),
        lon0=lon0,
        cone=cone,
        rho0_m=rho0_m,
        lat_mid=lat_mid,
        lat_half=lat_half,
        northing=np.resize(np.append(fitted.coef, np.zeros(_DEGREE + 1)), _DEGREE + 1),
        x0_m=x0_m,
        tolerance_m=0.0,
    )
    worst_m = _worst_error_m(projection, box)
    if not worst_m < _WORST_FIT_M:
        raise SettingsError(
            f"the city box ({box}) is too large or too far from New York for EPSG:32118: mend TAXI_CITY_BOX__*."
        )
    return replace(projection, tolerance_m=4 * worst_m + 1e-8)


def _conic() -> tuple[float, float, float, float]:
    """lon0 (degrees), cone constant n, rho0 and false easting (metres) of EPSG:32118, from PROJ's definition."""
    crs = CRS(LONG_ISLAND_M)
    ellipsoid, operation = crs.ellipsoid, crs.coordinate_operation
    lat0, lon0, lat1, lat2, x0_m, _ = (parameter.value for parameter in operation.params)
    flattening = 1 / ellipsoid.inverse_flattening
    e = np.sqrt(flattening * (2 - flattening))

    def m(lat: float) -> float:
        return float(np.cos(np.radians(lat)) / np.sqrt(1 - (e * np.sin(np.radians(lat))) ** 2))

    def t(lat: float) -> float:
        phi = np.radians(lat)
        return float(np.tan(np.pi / 4 - phi / 2) / ((1 - e * np.sin(phi)) / (1 + e * np.sin(phi))) ** (e / 2))

    cone = float(np.log(m(lat1) / m(lat2)) / np.log(t(lat1) / t(lat2)))
    rho0_m = ellipsoid.semi_major_metre * m(lat1) / (cone * t(lat1) ** cone) * t(lat0) ** cone
    return lon0, cone, float(rho0_m), x0_m


def _worst_error_m(projection: GridProjection, box: CityBox) -> float:
    """The largest error of the fast path in x or y over a lattice of the box."""
    lon, lat = np.meshgrid(np.linspace(box.lon_min, box.lon_max, 41), np.linspace(box.lat_min, box.lat_max, 41))
    t = (lat - projection.lat_mid) / projection.lat_half
    northing = np.polynomial.polynomial.polyval(t, projection.northing)
    theta = projection.cone * np.radians(lon - projection.lon0)
    rho = projection.rho0_m - northing
    x, y = to_metres().transform(lon, lat)
    error_x = projection.x0_m + rho * np.sin(theta) - x
    error_y = northing + rho * 2 * np.sin(theta / 2) ** 2 - y
    widest = np.abs(theta).max()
    series_m = abs(projection.rho0_m) * widest**9 / 362880  # what the kernel's truncated sine leaves out
    return float(max(np.abs(error_x).max(), np.abs(error_y).max(), series_m))
