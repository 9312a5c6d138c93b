"""Whether places lie on a lattice coarser than eps: degrees cut to two decimals or held in 16 bits, cells, centroids.

DBSCAN then finds the lattice's places and not hot spots. Two tests on used trips, of which a share may be odd:

- along longitude or latitude, most trips lie on few lines that are multiples of one step apart (a regular lattice);
- most trips lie at few places, each farther from the next than eps (any other lattice).

"Few" means that a line, or a place, holds several trips: places that are alone in full precision are no lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyproj import Transformer

from flows.core.crs import LONG_ISLAND_M, WGS84

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.model.points import Points

_MOST_TRIPS = 50_000
_KEPT_SHARE = 0.8
"""Of the trips, those on the heaviest lines or places; the others may be odd."""
_ON_LATTICE_SHARE = 0.9
"""Of the kept trips."""
_LEAST_TRIPS_PER_LINE = 4
_LEAST_TRIPS = 20
_DECIMALS = 7
"""Of a degree: 1 cm, more than the grid of 2^-10 m changes a place."""
_OFF_STEP = 0.02
"""Of a step, that a line may be off: two points in a hundred are."""
_ARC_M = 111_195.0
"""A degree of a great circle."""


class Lattice(NamedTuple):
    """Spacing of places in metres: (eastward, northward) of a regular lattice, or to the nearest place of another."""

    spacing_m: tuple[float, ...]

    def describe(self) -> str:
        """The spacing for a sentence."""
        return " x ".join(f"{spacing:,.0f} m" for spacing in self.spacing_m)


def find_lattice(points: Points, eps_m: float) -> Lattice | None:
    """The lattice that most used trips lie on, where it is coarser than eps.

    Points of a source of zones are centroids by design: None.
    """
    if points.kind == "zones" or points.n_used < _LEAST_TRIPS:
        return None
    drawn = points.inverse[:: -(-points.n_used // _MOST_TRIPS)]
    place, trips = np.unique(drawn, return_counts=True)
    xy_m = points.xy_m[place]
    return _regular(xy_m, trips, eps_m) or _irregular(xy_m, trips, eps_m)


def lattice_note(points: Points, eps_values_m: Sequence[float]) -> str | None:
    """What is said of a result whose places are coarser than the smallest eps, or None."""
    eps_m = min(eps_values_m)
    lattice = find_lattice(points, eps_m)
    if lattice is None:
        return None
    return (
        f"coarse coordinates: places lie on a lattice of about {lattice.describe()}, wider than eps ({eps_m:,.0f} m): "
        "clusters show the lattice, not hot spots"
    )


def _regular(xy_m: NDArray[np.float64], trips: NDArray[np.int64], eps_m: float) -> Lattice | None:
    lon, lat = _to_degrees().transform(xy_m[:, 0], xy_m[:, 1])
    per_degree = (_ARC_M * float(np.cos(np.radians(np.mean(lat)))), _ARC_M)
    steps = [_step(degrees, trips) for degrees in (lon, lat)]
    spacing = tuple(step * metres for step, metres in zip(steps, per_degree, strict=True) if step is not None)
    return Lattice(spacing) if spacing and max(spacing) > eps_m else None


def _step(degrees: NDArray[np.float64], trips: NDArray[np.int64]) -> float | None:
    """The step that parts the lines which hold most trips, in degrees; None where these are no multiples of one."""
    lines, line = np.unique(np.round(degrees, _DECIMALS), return_inverse=True)
    weights = np.bincount(line, weights=trips)
    kept = _heaviest(weights)
    if kept is None or len(kept) < 2:
        return None
    kept.sort()
    gaps, counts = np.unique(np.round(np.diff(lines[kept]), _DECIMALS - 1), return_counts=True)
    step = float(gaps[np.argmax(counts)])
    if step <= 0:
        return None
    turns = (lines[kept] - lines[kept[np.argmax(weights[kept])]]) / step
    on_step = np.abs(turns - np.round(turns)) < _OFF_STEP
    return step if weights[kept][on_step].sum() >= _ON_LATTICE_SHARE * weights[kept].sum() else None


def _irregular(xy_m: NDArray[np.float64], trips: NDArray[np.int64], eps_m: float) -> Lattice | None:
    kept = _heaviest(trips)
    if kept is None or len(kept) < 2:
        return None
    from scipy.spatial import KDTree

    nearest_m = KDTree(xy_m[kept]).query(xy_m[kept], k=2)[0][:, 1]
    apart = nearest_m > eps_m
    if trips[kept][apart].sum() < _ON_LATTICE_SHARE * trips[kept].sum():
        return None
    return Lattice((float(np.median(nearest_m)),))


def _heaviest(weights: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Indices of the heaviest that together hold most; None where they are many for what they hold."""
    order = np.argsort(-weights, kind="stable")
    held = np.cumsum(weights[order])
    kept = order[: int(np.searchsorted(held, _KEPT_SHARE * held[-1])) + 1]
    return kept if held[-1] * _KEPT_SHARE >= _LEAST_TRIPS_PER_LINE * len(kept) else None


@lru_cache(maxsize=1)
def _to_degrees() -> Transformer:
    return Transformer.from_crs(LONG_ISLAND_M, WGS84, always_xy=True)
