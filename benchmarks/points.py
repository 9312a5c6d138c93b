"""The point sets of the clustering benchmark: float64[n, 2], metres on the 2^-10 m grid, every one seeded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_ORIGIN_M = np.array([300_000.0, 60_000.0])
_COORDS = Path(__file__).resolve().parents[2] / "shared" / "data" / "coords"


def _on_grid(points_m: Points) -> Points:
    on_grid: Points = np.rint((points_m + _ORIGIN_M) * 1024) / 1024
    return on_grid


def city(n: int, seed: int = 0) -> Points:
    """400 hot spots of 50 to 600 m along a north-south axis, 85 % of the points; the rest over 40 x 50 km."""
    random = np.random.default_rng(seed)
    centres = np.column_stack([random.normal(0, 4000, 400), random.normal(0, 8000, 400)])
    spread, share = random.uniform(50, 600, 400), random.dirichlet(np.ones(400))
    crowded = int(n * 0.85)
    spot = random.choice(400, crowded, p=share)
    near = centres[spot] + random.normal(size=(crowded, 2)) * spread[spot][:, None]
    rest = random.uniform([-20_000, -25_000], [20_000, 25_000], (n - crowded, 2))
    points_m = np.clip(np.concatenate([near, rest]), -27_000, 27_000)
    random.shuffle(points_m)
    return _on_grid(points_m)


def zones(n: int, seed: int = 0) -> Points:
    """n rows on 263 places, as a month of zone ids gives."""
    random = np.random.default_rng(seed)
    places = random.uniform(-20_000, 20_000, (263, 2))
    return _on_grid(places[random.choice(263, n, p=random.dirichlet(np.full(263, 0.3)))])


def one_cell(n: int, seed: int = 0) -> Points:
    """All points within 30 m."""
    return _on_grid(np.random.default_rng(seed).uniform(0, 30, (n, 2)))


def line(n: int, seed: int = 0) -> Points:
    """All points on a straight street of 100 km."""
    return _on_grid(np.column_stack([np.random.default_rng(seed).uniform(0, 100_000, n), np.zeros(n)]))


def lattice(n: int, step_m: float) -> Points:
    """A square lattice, neighbours exactly step_m apart, in random order."""
    side = int(n**0.5)
    points_m = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * step_m
    return _on_grid(np.random.default_rng(0).permutation(points_m))


def uniform(n: int, seed: int = 0) -> Points:
    """Noise: points spread evenly, one per (100 m)^2."""
    return _on_grid(np.random.default_rng(seed).uniform(0, 100 * n**0.5, (n, 2)))


def dense_cell(n: int, seed: int = 0) -> Points:
    """A city of n / 10 points, and the others within 30 m."""
    return np.concatenate([one_cell(n - n // 10, seed), city(n // 10, seed)])


def bridged(n: int, eps_m: float, seed: int = 0) -> Points:
    """Dense clusters along a line, a border point within eps of the next on either side between them."""
    random = np.random.default_rng(seed)
    groups = n // 50
    centres = np.arange(groups) * 2 * eps_m
    members = np.repeat(centres, 49) + random.integers(-1, 2, groups * 49) / 1024 * (random.random(groups * 49) < 0.5)
    along = np.concatenate([members, centres + eps_m])
    return _on_grid(random.permutation(np.column_stack([along, np.zeros(len(along))])))


def real_names() -> list[str]:
    """Real files with coordinates beside the repository; empty without them."""
    return sorted(path.name for path in _COORDS.glob("*.*"))


def real(name: str) -> Points:
    """Distinct pick-ups of a real file, prepared as every run does."""
    from flows.core.settings import Settings
    from flows.model.parameters import experiment_spec
    from flows.model.points import SourceFile
    from flows.steps.ingest import open_source
    from flows.steps.prepare import prepare

    path, settings = _COORDS / name, Settings()
    spec = experiment_spec(str(path), use_minio=False)
    source = open_source((SourceFile(path.name, path, path.stat().st_size),), spec, settings)
    return prepare(source, spec, settings, None, 1).xy_m
