"""Good inputs, small, of every kind that is read; they are what gets mutated."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapefile
from pydantic import TypeAdapter

from flows.telemetry.exporter.counts import Attempt, Series, Settled, State
from flows.telemetry.exporter.events import Labels
from tests.unit.builders import an_experiment_record

N_ROWS = 60
HEADERS = (
    ("tpep_pickup_datetime", "pickup_longitude", "pickup_latitude", "RateCodeID", "store_and_fwd_flag"),
    ("Trip_Pickup_DateTime", "Start_Lon", "Start_Lat", "Rate_Code", "store_and_forward"),
    ("tpep_pickup_datetime", "PULocationID", "DOLocationID", "RatecodeID", "store_and_fwd_flag"),
    ("pickup_datetime", "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude"),
)


def columns(header: tuple[str, ...]) -> dict[str, list[str | int | float | datetime]]:
    """Values for each name of a header."""
    random = np.random.default_rng(len(header[0]))
    start = datetime(2016, 1, 5, 6, 30)
    found: dict[str, list[str | int | float | datetime]] = {}
    for name in header:
        low = name.lower()
        if "datetime" in low:
            found[name] = [start + timedelta(minutes=7 * row) for row in range(N_ROWS)]
        elif "lon" in low:
            found[name] = (-73.98 + random.normal(0, 0.01, N_ROWS)).round(6).tolist()
        elif "lat" in low:
            found[name] = (40.75 + random.normal(0, 0.01, N_ROWS)).round(6).tolist()
        elif "locationid" in low:
            found[name] = random.integers(1, 264, N_ROWS).tolist()
        else:
            found[name] = ["N" if "store" in low else 1] * N_ROWS
    return found


@lru_cache
def csv_text(which: int, line_end: str, quoting: int) -> bytes:
    """A month of some rows as CSV."""
    header = HEADERS[which]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator=line_end, quoting=csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL)
    writer.writerow(header)
    writer.writerows(zip(*columns(header).values(), strict=True))
    return sink.getvalue().encode()


@lru_cache
def parquet(which: int, compression: str, dictionary: bool) -> bytes:
    """The same as parquet, in three row groups, with a column that nothing reads."""
    table = pa.table({**columns(HEADERS[which]), "extra": pa.array([[1, 2]] * N_ROWS)})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=N_ROWS // 3, compression=compression, use_dictionary=dictionary)
    return sink.getvalue()


@lru_cache
def zone_files() -> dict[str, bytes]:
    """taxi_zones of three zones, one of them of two parts and one with a hole."""
    parts = {"shp": io.BytesIO(), "shx": io.BytesIO(), "dbf": io.BytesIO()}
    with shapefile.Writer(**parts, shapeType=shapefile.POLYGON) as writer:
        writer.field("LocationID", "N", 4)
        writer.field("zone", "C", 60)
        for place, rings in enumerate(
            ([_ring(0, 3000)], [_ring(5000, 3000), _ring(9000, 1000)], [_ring(15_000, 4000), _ring(16_000, 500)[::-1]])
        ):
            writer.poly(rings)
            writer.record(place + 1, f"Zone {place + 1}")
    return {f"taxi_zones.{suffix}": file.getvalue() for suffix, file in parts.items()}


def _ring(offset_ft: float, side_ft: float) -> list[list[float]]:
    x_ft, y_ft = 980_000 + offset_ft, 190_000 + offset_ft
    corners = ((0, 0), (0, side_ft), (side_ft, side_ft), (side_ft, 0), (0, 0))
    return [[x_ft + x, y_ft + y] for x, y in corners]


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of some files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return sink.getvalue()


@lru_cache
def record() -> bytes:
    """An experiment's record."""
    return an_experiment_record().model_dump_json().encode()


@lru_cache
def exporter_state() -> bytes:
    """The exporter's counts: two series, and one attempt that waits to be counted."""
    now = datetime(2026, 1, 31, 2, 3, 4, tzinfo=UTC)
    state = State(
        since=now - timedelta(days=1),
        position=now,
        series=tuple(Series(Labels(name, "default", "sequential"), last_success=now) for name in ("one", "two")),
        waiting=(Attempt(UUID(int=7), 1, started=now),),
        settled=(Settled(UUID(int=8), 1, "success", now, (UUID(int=9),)),),
    )
    return TypeAdapter(State).dump_json(state)
