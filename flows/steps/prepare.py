"""Prepare: clean, project, filter by time, sample, and collapse to unique points.

No coordinate is ever invented: a point without a position is dropped and counted by the first reason that applies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.core.errors import MostlyDroppedError
from flows.core.limits import check_points, memory_limit
from flows.core.settings import CityBox, Settings
from flows.kernels.threads import threads
from flows.model.points import Points, TripBatch, TripSource
from flows.model.spec import ExperimentSpec
from flows.steps.pool import Pool, by_coordinates, by_zone
from flows.steps.projection import grid_projection

if TYPE_CHECKING:
    from flows.datasets.zones import ZoneTable


def classify_coordinates(lon: NDArray[np.float64], lat: NDArray[np.float64], box: CityBox) -> NDArray[np.uint8]:
    """Judge m points: 0 used, 1 null, 2 zero (lon or lat exactly 0), 3 outside the box (bounds are inside)."""
    return grid_projection(box).locate(lon, lat)[0]


def prepare(
    source: TripSource, spec: ExperimentSpec, settings: Settings, zones: ZoneTable | None, n_jobs: int
) -> Points:
    """Stream a source into unique points.

    Args:
        source: a checked source; its batches are read here.
        zones: the zone table; needed where the source has zone ids.
        n_jobs: threads.

    Raises:
        SourceError: a row can't be read.
        MemoryLimitError: there are more points than the memory limit holds.
        MostlyDroppedError: more than half of the points (those left out by time apart) are dropped without
            `allow_mostly_dropped`, or no point is left.
    """
    started = time.perf_counter()
    with threads(n_jobs) as n_threads:
        locator = by_zone(zones) if zones and source.kind == "zones" else by_coordinates(settings.city_box)
        batches = _Timed(source.batches())
        pool = Pool(spec, locator, n_files=len(source.files), n_threads=n_threads)
        left = memory_limit(settings)
        for batch in batches:
            pool.add(batch)
            check_points(pool.n_used, pool.need_bytes, left)
        _refuse_mostly_dropped(pool, source, settings)
        drawn = _draw(pool.n_used, spec)
        kept = pool.kept() if drawn is None else _only(pool.kept(), drawn)
        xy_m, weights, inverse = pool.points(drawn)
    return Points(
        xy_m=xy_m,
        weights=weights,
        inverse=inverse,
        kept=kept,
        coordinate_type=spec.coordinate_type,
        kind=source.kind,
        n_rows=sum(pool.rows_per_file),
        dropped=pool.dropped(),
        rows_per_file=tuple(pool.rows_per_file),
        skipped_per_file=tuple(pool.skipped_per_file),
        ingest_seconds=batches.seconds,
        prepare_seconds=time.perf_counter() - started - batches.seconds,
        clocks=pool.clocks,
        n_differing=pool.n_differing,
    )


class _Timed:
    """A stream of batches that counts the seconds spent waiting for it."""

    def __init__(self, batches: Iterator[TripBatch]) -> None:
        self._batches = batches
        self.seconds = 0.0

    def __iter__(self) -> Iterator[TripBatch]:
        while True:
            started = time.perf_counter()
            batch = next(self._batches, None)
            self.seconds += time.perf_counter() - started
            if batch is None:
                return
            yield batch


def _refuse_mostly_dropped(pool: Pool, source: TripSource, settings: Settings) -> None:
    dropped = pool.dropped()
    n_bad = sum(count for reason, count in dropped.items() if reason != "time")
    n_points = n_bad + pool.n_used
    if pool.n_used and (settings.allow_mostly_dropped or 2 * n_bad <= n_points):
        return
    names = ", ".join(file.name for file in source.files[:3]) + (", ..." if len(source.files) > 3 else "")
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count) or "none by reason"
    box = settings.city_box
    advice = "`taxi-flows data check` shows what the file holds"
    if dropped["outside"]:
        advice += f"; the city box is lon {box.lon_min}..{box.lon_max}, lat {box.lat_min}..{box.lat_max}"
        advice += " (TAXI_CITY_BOX__*)"
    if source.zone_columns:
        advice += (
            f"; there are zone ids as well ({', '.join(source.zone_columns)}): to use them, remove the columns of "
        )
        advice += "the coordinates"
    if pool.n_used == 0:
        raise MostlyDroppedError(f"{names}: no point is left ({reasons}). {advice}.")
    raise MostlyDroppedError(
        f"{names}: {n_bad:,} of {n_points:,} points would be dropped ({reasons}), more than half. {advice}; "
        "`--allow-mostly-dropped` (TAXI_ALLOW_MOSTLY_DROPPED=true) goes on with the rest."
    )


def _draw(n_used: int, spec: ExperimentSpec) -> NDArray[np.int64] | None:
    """Places of max_samples used points, without replacement, by seed, ascending; None where all are wanted."""
    if spec.max_samples is None or spec.max_samples >= n_used:
        return None
    drawn = np.random.default_rng(spec.seed).choice(n_used, size=spec.max_samples, replace=False, shuffle=False)
    drawn.sort()
    return drawn


def _only(kept: NDArray[np.bool_], drawn: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which points are used where only the drawn ones are."""
    sampled = np.zeros_like(kept)
    sampled[np.flatnonzero(kept)[drawn]] = True
    return sampled
