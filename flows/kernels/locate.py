"""Judge coordinates and project them to grid keys, fused and parallel.

A grid key packs a point's EPSG:32118 coordinates in units of 2^-10 m into one int64: x in the high half, y in the low.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from flows.kernels.threads import turn

USED, NULL, ZERO, OUTSIDE, UNKNOWN_ZONE, TIME, ASK_PROJ = 0, 1, 2, 3, 4, 5, 255
BLOCK = 1 << 14

Floats = NDArray[np.float64]


@njit(cache=True)
def _pack(x_units: np.float64, y_units: np.float64) -> np.int64:
    return (np.int64(x_units) << 32) | (np.int64(y_units) & np.int64(0xFFFFFFFF))


@njit(parallel=True, cache=True)
def _locate(
    lon: Floats,
    lat: Floats,
    box: Floats,
    lon0: float,
    n: float,
    rho0: float,
    lat_mid: float,
    lat_half: float,
    g: Floats,
    x0: float,
    tolerance_units: float,
    status: NDArray[np.uint8],
    keys: NDArray[np.int64],
) -> None:
    """Fill status: uint8[m] and keys: int64[m] for m points given in degrees.

    box: lon_min, lon_max, lat_min, lat_max. lon0, n, rho0, x0: the cone (flows.steps.projection). g: 9 coefficients,
    lowest first, of the northing on the central meridian as a polynomial in (lat - lat_mid) / lat_half. A point whose
    rounding an error of tolerance_units could change becomes ASK_PROJ.
    """
    west, east, south, north = box[0], box[1], box[2], box[3]
    g0, g1, g2, g3, g4, g5, g6, g7, g8 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8]
    radians = np.pi / 180.0
    m = len(lon)
    blocks = (m + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        for i in range(block * BLOCK, min(m, (block + 1) * BLOCK)):
            x, y = lon[i], lat[i]
            t = (y - lat_mid) / lat_half
            northing = g0 + t * (g1 + t * (g2 + t * (g3 + t * (g4 + t * (g5 + t * (g6 + t * (g7 + t * g8)))))))
            rho = rho0 - northing
            theta = n * (x - lon0) * radians
            s = theta * theta
            sine = theta * (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72))))
            versine = s / 2 * (1 - s / 12 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90))))
            u = (x0 + rho * sine) * 1024.0
            v = (northing + rho * versine) * 1024.0
            inside = west <= x <= east and south <= y <= north
            if inside and x != 0 and y != 0:
                ru, rv = np.rint(u), np.rint(v)
                keys[i] = _pack(ru, rv)
                unsure = max(abs(u - ru), abs(v - rv)) > 0.5 - tolerance_units
                status[i] = ASK_PROJ if unsure else USED
            elif np.isnan(x) or np.isnan(y):
                status[i] = NULL
            elif x == 0 or y == 0:
                status[i] = ZERO
            else:
                status[i] = OUTSIDE


locate = turn()(_locate)


@njit(parallel=True, cache=True)
def _compact(
    status: NDArray[np.uint8], keys: NDArray[np.int64], starts: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    m, blocks = len(status), len(starts) - 1
    starts[0] = 0
    for block in prange(blocks):
        used = 0
        for i in range(block * BLOCK, min(m, (block + 1) * BLOCK)):
            used += status[i] == USED
        starts[block + 1] = used
    for block in range(blocks):
        starts[block + 1] += starts[block]
    for block in prange(blocks):
        place = starts[block]
        for i in range(block * BLOCK, min(m, (block + 1) * BLOCK)):
            if status[i] == USED:
                out[place] = keys[i]
                place += 1


@turn()
def compact(status: NDArray[np.uint8], keys: NDArray[np.int64], out: NDArray[np.int64]) -> int:
    """Write the keys of used points to the front of out, in order, and give their number.

    Args:
        status: uint8[m]. keys: int64[m]. out: int64[as many as are used, or more].
    """
    starts = np.empty((len(status) + BLOCK - 1) // BLOCK + 1, np.int64)
    _compact(status, keys, starts, out)
    return int(starts[-1])


def warm_up() -> None:
    """Compile, or load from the cache, every kernel of this module."""
    degrees, status, keys = np.zeros(1), np.zeros(1, np.uint8), np.zeros(1, np.int64)
    locate(degrees, degrees, np.zeros(4), 0.0, 0.5, 1.0, 0.0, 1.0, np.zeros(9), 0.0, 0.0, status, keys)
    compact(status, keys, keys)
