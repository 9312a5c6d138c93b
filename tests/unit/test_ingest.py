"""Reading: what real files of every dialect deliver, and that chunks never change it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.settings import Settings
from flows.model.points import NO_TIME, SourceFile, TripBatch, TripSource
from flows.model.spec import CoordinateType, ExperimentSpec
from flows.readers.table import ChunkSize
from flows.steps.ingest import open_source

REAL = [
    # file, dialect, kind, rows
    ("coords/yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet", "yellow 2015-2016", "coordinates", 33_276),
    ("coords/yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet", "yellow 2015-2016", "coordinates", 6_662),
    ("coords/yellow_2009-01-15_12h-13h.celinewmk-dbscan.parquet", "yellow 2009", "coordinates", 21_242),
    ("coords/yellow_tripdata_2015-01_head2k.bhuvankumar007.csv", "yellow 2015-2016", "coordinates", 1_999),
    ("coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv", "yellow 2015-2016", "coordinates", 1_999),
    ("coords/yellow_tripdata_2016-03_head2k.bhuvankumar007.csv", "yellow 2015-2016", "coordinates", 2_013),
    (
        "coords/yellow_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet",
        "yellow camelCase (Azure)",
        "coordinates",
        3_475,
    ),
    ("coords/trip_duration_2016H1_1pct.guebin-DV2023.parquet", "Kaggle trip duration", "coordinates", 14_587),
    ("coords/taxifare_2009-2015_with_time.gcp-tda.parquet", "taxi fare (with times)", "coordinates", 10_476),
    ("coords/taxifare_2009-2015_no_time_60k.gcp-tda.parquet", "taxi fare (without times)", "coordinates", 59_620),
    ("coords/green_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet", "green 2015-2016", "coordinates", 32_922),
    ("coords/green_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet", "green 2015-2016", "coordinates", 6_559),
    (
        "coords/green_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet",
        "green camelCase (Azure)",
        "coordinates",
        3_481,
    ),
    (
        "messy/yellow_month_samples_2009-2017_odd_months.yennanliu.parquet",
        "yellow month samples (renamed, coordinates and zones)",
        "coordinates",
        5_010,
    ),
    (
        "messy/green_month_samples_2009-2017_odd_months.yennanliu.parquet",
        "green month samples (renamed, coordinates and zones)",
        "coordinates",
        2_254,
    ),
    ("messy/yellow_2009-01-15_blank_header_first500.celinewmk-dbscan.csv", "yellow 2009", "coordinates", 500),
    ("zone_trips/yellow_tripdata_2018-11-01_10k.deephaven-examples.parquet", "yellow 2016-2018", "zones", 10_000),
    ("zone_trips/yellow_tripdata_2024-01-01_before01h.hfxcarl.parquet", "yellow 2019-2024", "zones", 5_573),
    ("zone_trips/yellow_tripdata_2025-01_rows1-500.msmrnv1.csv", "yellow 2025", "zones", 500),
]
ZEROS = {  # pick-ups with a coordinate that is exactly 0, by the data's README
    "coords/yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet": 542,
    "coords/yellow_tripdata_2015-01_head2k.bhuvankumar007.csv": 41,
    "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv": 36,
    "coords/green_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet": 4,
    "messy/yellow_month_samples_2009-2017_odd_months.yennanliu.parquet": 82,
    "messy/green_month_samples_2009-2017_odd_months.yennanliu.parquet": 102,
}


def source_file(path: Path) -> SourceFile:
    return SourceFile(path.name, path, path.stat().st_size)


def open_paths(
    paths: Sequence[Path],
    coordinate_type: CoordinateType = "pickup",
    hours: str | None = None,
    skip_truncated: bool = False,
    chunk_size: ChunkSize | None = None,
    skip_bad_rows: int = 0,
) -> TripSource:
    spec = ExperimentSpec(data_source=tuple(map(str, paths)), coordinate_type=coordinate_type, hours=hours)
    size = chunk_size or ChunkSize()
    settings = Settings(skip_truncated=skip_truncated, skip_bad_rows=skip_bad_rows)
    return open_source([source_file(p) for p in paths], spec, settings, chunk_size=size)


def joined(batches: Sequence[TripBatch]) -> dict[str, Any]:
    """All batches as one."""

    def column(name: str) -> Any:
        parts = [getattr(batch, name) for batch in batches]
        if parts[0] is None:
            return None
        if isinstance(parts[0], tuple):
            return [np.concatenate(end) for end in zip(*parts, strict=True)]
        return np.concatenate(parts)

    return {name: column(name) for name in ("lon", "lat", "zone", "pickup_minute")}


@pytest.mark.parametrize(("name", "dialect", "kind", "rows"), REAL)
def test_real_files_deliver_their_rows(shared_data: Path, name: str, dialect: str, kind: str, rows: int) -> None:
    source = open_paths([shared_data / name], "both")
    batches = list(source.batches())
    assert (source.dialects, source.kind) == ((dialect,), kind)
    assert sum(batch.n_rows for batch in batches) == rows
    assert source.n_rows == (rows if name.endswith(".parquet") else None)
    trips = joined(batches)
    if kind == "coordinates":
        assert trips["zone"] is None
        assert [len(end) for end in trips["lon"] + trips["lat"]] == [rows] * 4
        if name in ZEROS:
            assert np.count_nonzero((trips["lon"][0] == 0) | (trips["lat"][0] == 0)) == ZEROS[name]
    else:
        assert trips["lon"] is None
        assert trips["lat"] is None
        assert all(len(end) == rows and end.dtype == np.int64 and end.min() >= 1 for end in trips["zone"])


def test_renamed_months_are_one_source(shared_data: Path) -> None:
    paths = sorted((shared_data / "zone_trips" / "gx_monthly").glob("*.parquet"))
    source = open_paths(paths)
    batches = list(source.batches())
    assert source.dialects == ("renamed (pickup_location_id)",) * 30
    assert [batch.first_row for batch in batches] == list(range(0, 300_000, 10_000))
    assert [batch.file_index for batch in batches] == list(range(30))


def test_text_samples_without_coordinates_are_missing_not_zones(shared_data: Path) -> None:
    path = shared_data / "messy" / "yellow_month_samples_2009-2017_odd_months.yennanliu.parquet"
    trips = joined(list(open_paths([path], hours="0-24").batches()))
    assert np.count_nonzero(np.isnan(trips["lon"][0])) == 591
    assert trips["pickup_minute"][0] == pd.Timestamp("2009-01-04 02:52").value // 60_000_000_000


@pytest.mark.parametrize("path", ["coords/taxifare_2009-2015_with_time.gcp-tda.parquet", REAL[0][0], REAL[3][0]])
def test_values_equal_those_of_pandas(shared_data: Path, path: str) -> None:
    file = shared_data / path
    frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    trips = joined(list(open_paths([file], "both", hours="0-24").batches()))
    for end, (lon, lat) in enumerate(zip(trips["lon"], trips["lat"], strict=True)):
        name = ("pickup", "dropoff")[end]
        np.testing.assert_array_equal(lon, frame[f"{name}_longitude"].to_numpy())
        np.testing.assert_array_equal(lat, frame[f"{name}_latitude"].to_numpy())
    clock = frame[next(c for c in frame.columns if c.endswith("pickup_datetime"))].astype(str).str.slice(0, 16)
    np.testing.assert_array_equal(
        trips["pickup_minute"], pd.to_datetime(clock).to_numpy().astype("datetime64[m]").astype(np.int64)
    )


def test_heads_deliver_their_whole_rows(shared_data: Path) -> None:
    paths = sorted((shared_data / "messy" / "tlc_heads").glob("*.csv"))
    for path in paths:
        lines = [line for line in path.read_bytes().split(b"\n")[:-1] if line.strip()]
        source = open_paths([path], skip_truncated=True)
        assert sum(batch.n_rows for batch in source.batches()) == len(lines) - 1, path.name
    assert len(paths) == 65


def test_odd_files_deliver_every_row_that_fits(shared_cases: Path) -> None:
    folder = shared_cases / "data" / "files"
    plain = joined(list(open_paths([folder / "plain.csv"]).batches()))
    with_cr = joined(list(open_paths([folder / "line_ends_cr.csv"]).batches()))
    np.testing.assert_array_equal(with_cr["lon"], plain["lon"])
    for name, bad in (("yellow_tripdata_2010-02.csv", [1500, 1900, 2200]), ("two_unclosed_quotes.csv", [1499, 1509])):
        size = ChunkSize(csv_bytes=100)  # a bad row is a batch of its own, without rows
        batches = list(open_paths([folder / name], skip_bad_rows=len(bad), chunk_size=size).batches())
        assert min(batch.n_rows for batch in batches) == 0
        np.testing.assert_array_equal(joined(batches)["lon"][0], np.delete(plain["lon"][0], bad))
        assert sum(len(batch.bad_lines) for batch in batches) == len(bad)


def test_gzip_delivers_what_plain_text_does(shared_data: Path, tmp_path: Path) -> None:
    plain = shared_data / REAL[3][0]
    packed = tmp_path / "yellow.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    texts = [joined(list(open_paths([path], "both").batches())) for path in (plain, packed)]
    np.testing.assert_array_equal(texts[0]["lon"], texts[1]["lon"])


@pytest.mark.parametrize(
    "zones",
    [
        pa.array([132, None, 265], pa.int64()),
        pa.array([132, None, 265], pa.int16()),
        pa.array([132.0, None, 265.0], pa.float64()),
        pa.array([132.0, float("nan"), 265.0], pa.float32()),
        pa.array(["132", "", "265"]),
        pa.array(["132.0", None, " 265 "], pa.large_string()),
        pa.array(["132", "NULL", "265"]).dictionary_encode(),
        pa.array(["132", None, "265"], pa.string_view()),
    ],
    ids=lambda array: str(array.type),
)
def test_zone_ids_of_every_type(tmp_path: Path, zones: pa.Array) -> None:
    pq.write_table(pa.table({"PUlocationID": zones}), tmp_path / "fhv.parquet")
    trips = joined(list(open_paths([tmp_path / "fhv.parquet"]).batches()))
    assert trips["zone"][0].tolist() == [132, -1, 265]


@pytest.mark.parametrize(
    "times",
    [
        pa.array(["2016-01-31 23:59:59", None]),
        pa.array(["2016-01-31T23:59:59.000", ""]),
        pa.array(["2016-01-31 23:59:59 UTC", "NULL"], pa.large_string()),
        pa.array(["2016-01-31 23:59:59.000000", None]),
        pa.array([pd.Timestamp("2016-01-31 23:59:59"), None], pa.timestamp("us")),
        pa.array([pd.Timestamp("2016-01-31 23:59:59"), None], pa.timestamp("ns")),
        pa.array(["1/31/2016 11:59:59 PM", None]),
        pa.array(["2016-02-01T04:59:59.000Z", ""]),
        pa.array(["2016-02-01 04:59:59+00:00", None]),
        pa.array(["2016-01-31 23:59:59-0500", None]),
        pa.array(["2016-02-01 12:59:59.5+08", None]),
        pa.array([pd.Timestamp("2016-02-01 04:59:59"), None], pa.timestamp("us", "UTC")),
        pa.array([pd.Timestamp("2016-02-01 04:59:59"), None], pa.timestamp("ns", "Asia/Shanghai")),
        pa.array([pd.Timestamp("2016-01-31 23:59:59"), None], pa.timestamp("s")).dictionary_encode(),
    ],
    ids=lambda array: f"{array.type} {array[0]}",
)
def test_times_of_every_form_are_the_clock_of_new_york(tmp_path: Path, times: pa.Array) -> None:
    pq.write_table(pa.table({"pickup_datetime": times, "PULocationID": [1, 2]}), tmp_path / "trips.parquet")
    trips = joined(list(open_paths([tmp_path / "trips.parquet"], hours="7-10").batches()))
    assert trips["pickup_minute"].tolist() == [
        (np.datetime64("2016-01-31T23:59") - np.datetime64(0, "m")).astype(int),
        NO_TIME,
    ]


def test_coordinate_columns_without_values_are_no_coordinates(tmp_path: Path) -> None:
    table = pa.table({"pickup_longitude": ["", ""], "pickup_latitude": ["", ""], "PULocationID": ["7", "8"]})
    pq.write_table(table, tmp_path / "trips.parquet")
    (tmp_path / "trips.csv").write_text("pickup_longitude,pickup_latitude,PULocationID\n,,7\n,,8\n")
    assert [open_paths([tmp_path / name]).kind for name in ("trips.parquet", "trips.csv")] == ["zones", "zones"]


def test_one_coordinate_far_down_makes_a_coordinate_source(tmp_path: Path) -> None:
    lon = [None] * 5_000 + [-73.9]
    table = pa.table({"pickup_longitude": lon, "pickup_latitude": [40.7] * 5_001, "PULocationID": [7] * 5_001})
    pq.write_table(table, tmp_path / "trips.parquet", row_group_size=1_000)
    table.to_pandas().to_csv(tmp_path / "trips.csv", index=False)
    assert {open_paths([tmp_path / name]).kind for name in ("trips.parquet", "trips.csv")} == {"coordinates"}


def test_times_are_not_parsed_unless_asked_for(tmp_path: Path) -> None:
    text = "pickup_datetime,PULocationID\n" + "2016-01-01 00:00:00,7\n" * 9 + "no time,8\n"
    (tmp_path / "trips.csv").write_text(text)
    assert joined(list(open_paths([tmp_path / "trips.csv"]).batches()))["pickup_minute"] is None


LON, LAT = (st.one_of(st.none(), st.floats(*ends).map(lambda x: round(x, 6))) for ends in ((-75, 30), (-30, 41)))
"""Also far from the city, but never the one in place of the other, which is refused."""


@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(st.tuples(LON, LAT, st.integers(0, 59)), min_size=1, max_size=60),
    rows=st.integers(1, 70),
    csv_bytes=st.integers(1, 400),
    line_end=st.sampled_from(["\n", "\r\n"]),
    blank=st.sampled_from(["", "\r\n", "\n\r\n"]),
    last=st.booleans(),
)
def test_chunk_size_never_changes_what_is_delivered(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[float | None, float | None, int]],
    rows: int,
    csv_bytes: int,
    line_end: str,
    blank: str,
    last: bool,
) -> None:
    folder = tmp_path_factory.mktemp("chunks")
    lon, lat, minute = map(list, zip(*cells, strict=True))
    names = ["pickup_datetime", "pickup_longitude", "pickup_latitude"]
    times = [f"2016-01-01 00:{m:02}:00" for m in minute]
    frame = pa.table([times, pa.array(lon, pa.float64()), pa.array(lat, pa.float64())], names=names)
    pq.write_table(frame, folder / "trips.parquet", row_group_size=7)
    lines = [",".join("" if c is None else str(c) for c in row) for row in zip(times, lon, lat, strict=True)]
    text = ",".join(names) + "\n" + blank + line_end.join(lines) + line_end * last
    (folder / "trips.csv").write_bytes(text.encode())
    (folder / "trips.csv.gz").write_bytes(gzip.compress(text.encode()))
    wanted = np.array([lon, lat], float)
    for path in folder.iterdir():
        batches = list(open_paths([path], hours="7-10", chunk_size=ChunkSize(rows, csv_bytes)).batches())
        trips = joined(batches)
        np.testing.assert_array_equal([trips["lon"][0], trips["lat"][0]], wanted)
        assert (trips["pickup_minute"] - trips["pickup_minute"].min()).tolist() == [m - min(minute) for m in minute]
        assert [b.first_row for b in batches] == np.cumsum([0] + [b.n_rows for b in batches])[:-1].tolist()


def test_batches_can_be_streamed_twice_and_left_early(shared_data: Path) -> None:
    source = open_paths([shared_data / name for name, *_ in REAL[:2]], chunk_size=ChunkSize(rows=100))
    before = threading.active_count()
    for _ in range(2):
        batches = source.batches()
        assert next(batches).first_row == 0
        batches.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


def test_progress_is_told_and_ended(shared_data: Path) -> None:
    told: list[object] = []

    class Told:
        def start(self, total_rows: int | None, label: str) -> None:
            told.append(total_rows)

        def advance(self, rows: int) -> None:
            told.append(rows)

        def finish(self) -> None:
            told.append("finished")

    file = source_file(shared_data / REAL[1][0])
    source = open_source([file], ExperimentSpec(data_source=("x",)), Settings(), Told())
    assert told == []
    list(source.batches())
    assert told == [6_662, 6_662, "finished"]
