"""Points, counts, order and sampling are those of the design, however the source is cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.core.errors import MemoryLimitError, MostlyDroppedError
from flows.core.limits import MemoryLimit
from flows.core.settings import Settings, load_settings
from flows.model.parameters import experiment_spec
from flows.model.points import Kind, Points, SourceFile, TripBatch, TripSource
from flows.model.spec import CoordinateType, ExperimentSpec
from flows.steps.prepare import prepare
from flows.steps.projection import project

Floats = NDArray[np.float64]


def source_of(
    lon: tuple[Floats, ...],
    lat: tuple[Floats, ...],
    batch_rows: int,
    minutes: NDArray[np.int64] | None = None,
    kind: Kind = "coordinates",
    batches_per_file: int = 1 << 30,
) -> TripSource:
    firsts = range(0, len(lon[0]), batch_rows)

    def batches() -> Iterator[TripBatch]:
        for index, first in enumerate(firsts):
            part = slice(first, first + batch_rows)
            yield TripBatch(
                file_index=index // batches_per_file,
                first_row=first,
                n_rows=len(lon[0][part]),
                lon=tuple(end[part] for end in lon),
                lat=tuple(end[part] for end in lat),
                zone=None,
                pickup_minute=None if minutes is None else minutes[part],
            )

    names = [f"trips-{index}.parquet" for index in range(-(-len(firsts) // batches_per_file))]
    files = tuple(SourceFile(name, Path(name), 1) for name in names)
    return TripSource(files=files, dialects=("test",) * len(files), kind=kind, n_rows=None, batches=batches)


def city_points(n: int, seed: int) -> tuple[Floats, Floats]:
    """Points with repeats, nulls, zeros and strays."""
    rng = np.random.default_rng(seed)
    lon, lat = -73.9 - rng.integers(0, 20, n) / 400, 40.7 + rng.integers(0, 20, n) / 400
    fate = rng.integers(0, 12, n)
    lon[fate == 0], lat[fate == 1], lon[fate == 2] = np.nan, 0.0, -75.0
    return lon, lat


def run(source: TripSource, spec: ExperimentSpec, allow: bool = False) -> Points:
    chosen: Settings = load_settings().model_copy(update={"allow_mostly_dropped": allow})
    return prepare(source, spec, chosen, None, n_jobs=2)


@given(seed=st.integers(0, 1000), cut=st.integers(1, 50), ends=st.sampled_from(["pickup", "both"]))
@settings(max_examples=40)
def test_points_order_and_counts(seed: int, cut: int, ends: CoordinateType) -> None:
    n_ends = 2 if ends == "both" else 1
    lon, lat = zip(*(city_points(60, seed + end) for end in range(n_ends)), strict=True)
    points = run(source_of(lon, lat, cut), experiment_spec("x", coordinate_type=ends), allow=True)
    all_lon, all_lat = np.column_stack(lon).ravel(), np.column_stack(lat).ravel()  # row by row
    used = ~(np.isnan(all_lon) | np.isnan(all_lat) | (all_lon == 0) | (all_lat == 0) | (all_lon < -74.3))
    assert (points.kept == used).all()
    assert (points.xy_m[points.inverse] == project(all_lon[used], all_lat[used])).all()
    assert points.weights.sum() == points.n_used == used.sum()
    assert points.n_used + sum(points.dropped.values()) == len(used)
    assert points.dropped["null"] == (np.isnan(all_lon) | np.isnan(all_lat)).sum()
    assert points.rows_per_file == (60,)


@given(cut=st.integers(1, 300), seed=st.integers(0, 5))
@settings(max_examples=20)
def test_sampling_ignores_the_batches(cut: int, seed: int) -> None:
    lon, lat = city_points(300, seed)
    spec = experiment_spec("x", max_samples=37, seed=seed)
    whole, cut_up = run(source_of((lon,), (lat,), 300), spec), run(source_of((lon,), (lat,), cut), spec)
    assert whole.n_used == 37
    assert (whole.kept == cut_up.kept).all()
    assert (whole.inverse == cut_up.inverse).all()
    kept = np.flatnonzero(whole.kept)
    assert (whole.xy_m[whole.inverse] == project(lon[kept], lat[kept])).all()


@given(
    cut=st.integers(1, 90), per_file=st.integers(1, 4), seed=st.integers(0, 50),
    max_samples=st.one_of(st.none(), st.integers(1, 200)), ends=st.sampled_from(["pickup", "both"]),
)  # fmt: skip
@settings(max_examples=40)
def test_several_files_are_as_one(
    cut: int, per_file: int, seed: int, max_samples: int | None, ends: CoordinateType
) -> None:
    lon, lat = zip(*(city_points(300, seed + end) for end in range(2 if ends == "both" else 1)), strict=True)
    spec = experiment_spec("x", max_samples=max_samples, seed=seed, coordinate_type=ends)
    one, several = (
        run(source_of(lon, lat, cut, batches_per_file=batches), spec, allow=True) for batches in (1000, per_file)
    )
    for name in ("xy_m", "weights", "inverse", "kept"):
        np.testing.assert_array_equal(getattr(several, name), getattr(one, name))
    assert several.weights.dtype == one.weights.dtype == np.int64
    assert several.dropped == one.dropped
    assert sum(several.rows_per_file) == 300


def test_sampling_is_uniform() -> None:
    lon, lat = np.full(20, -73.9), np.full(20, 40.7)
    source = source_of((lon,), (lat,), 20)
    draws = [run(source, experiment_spec("x", max_samples=5, seed=seed)).kept for seed in range(400)]
    hits = np.sum(draws, axis=0)
    assert hits.sum() == 2000
    assert hits.min() > 60
    assert hits.max() < 140


def test_hours_and_weekdays_leave_out_as_time() -> None:
    epoch = datetime(1970, 1, 1)
    clock = [datetime(2016, 1, 1, 8), datetime(2016, 1, 2, 8), datetime(2016, 1, 4, 12), datetime(2016, 1, 4, 9, 59)]
    minutes = np.array([int((time - epoch).total_seconds() // 60) for time in clock] + [-1], np.int64)
    lon, lat = np.full(5, -73.9), np.full(5, 40.7)
    spec = experiment_spec("x", hours="7-10", weekdays="mon-fri")  # 1 January 2016 was a Friday
    points = run(source_of((lon,), (lat,), 2, minutes), spec)
    assert points.kept.tolist() == [True, False, False, True, False]
    assert points.dropped["time"] == 3


def test_mostly_dropped_is_refused_with_the_reasons() -> None:
    lon, lat = np.array([-73.9, 0, 0, np.nan]), np.array([40.7, 0, 0, 40.7])
    with pytest.raises(MostlyDroppedError, match=r"3 of 4 points.*1 null, 2 zero.*--allow-mostly-dropped"):
        run(source_of((lon,), (lat,), 4), experiment_spec("x"))
    assert run(source_of((lon,), (lat,), 4), experiment_spec("x"), allow=True).n_used == 1


def test_all_outside_the_city_is_refused_even_when_asked_for() -> None:
    lon, lat = np.full(3, 2.35), np.full(3, 48.85)
    with pytest.raises(MostlyDroppedError, match=r"no point is left \(3 outside\).*city box"):
        run(source_of((lon,), (lat,), 4), experiment_spec("x"), allow=True)


def test_more_points_than_memory_holds_are_refused_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lon, lat = np.full(4_000, -73.9), np.full(4_000, 40.7)
    whole, n_read = source_of((lon,), (lat,), 500), 0

    def counted() -> Iterator[TripBatch]:
        nonlocal n_read
        for batch in whole.batches():
            n_read += batch.n_rows
            yield batch

    left = MemoryLimit(21 * 1_500, 1 << 20, "TAXI_MEMORY_LIMIT_BYTES")
    monkeypatch.setattr("flows.steps.prepare.memory_limit", lambda settings: left)
    with pytest.raises(MemoryLimitError, match=r"first 2,000 used points .* left of .* \(TAXI_MEMORY_LIMIT_BYTES\)"):
        run(replace(whole, batches=counted), experiment_spec("x"))
    assert n_read == 2_000


def test_a_file_that_was_read_to_its_end_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    lon, lat = np.full(4_000, -73.9), np.full(4_000, 40.7)
    left = MemoryLimit(5 * 4_000 + 16 * 500, 1 << 20, "TAXI_MEMORY_LIMIT_BYTES")
    monkeypatch.setattr("flows.steps.prepare.memory_limit", lambda settings: left)
    assert run(source_of((lon,), (lat,), 500, batches_per_file=1), experiment_spec("x")).n_used == 4_000
