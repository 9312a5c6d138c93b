"""What columns mean: several of one role, coordinates of zeros beside zone ids, and columns that nothing reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.core.errors import DialectError, MostlyDroppedError, RowError, SourceError
from flows.core.settings import Settings
from flows.model.points import Points, SourceFile, TripSource
from flows.model.spec import ExperimentSpec
from flows.report.terminal import to_text
from flows.steps.check import check_file
from flows.steps.ingest import open_source
from flows.steps.prepare import prepare
from flows.steps.record import point_counts
from tests.unit.builders import an_experiment_record

LON, LAT = [-73.98, -73.97, -73.96, -73.95], [40.75, 40.76, 40.77, 40.78]
TIMES = [datetime(2016, 1, 4, hour) for hour in (7, 8, 9, 10)]
NONE = [None] * 4


def written(tmp_path: Path, columns: Mapping[str, object], name: str = "trips.parquet") -> Path:
    path = tmp_path / name
    pq.write_table(pa.table(list(columns.values()), names=list(columns)), path)
    return path


def opened(*paths: Path, hours: str | None = None, use_location_ids: bool = True) -> TripSource:
    spec = ExperimentSpec(data_source=("x",), hours=hours, use_location_ids=use_location_ids)
    return open_source([SourceFile(p.name, p, p.stat().st_size) for p in paths], spec, Settings())


def points(path: Path, hours: str | None = None) -> Points:
    spec = ExperimentSpec(data_source=("x",), hours=hours)
    return prepare(opened(path, hours=hours), spec, Settings(), None, n_jobs=1)


def joined(lon: Sequence[float | None], start_lon: Sequence[float | None], **others: object) -> dict[str, object]:
    """Two dialects: each latitude is where its longitude is."""
    lat, start_lat = (
        [None if x is None else 0.0 if x == 0 else y for x, y in zip(part, LAT, strict=True)]
        for part in (lon, start_lon)
    )
    return {
        "pickup_longitude": pa.array(lon, pa.float64()),
        "pickup_latitude": pa.array(lat, pa.float64()),
        "Start_Lon": pa.array(start_lon, pa.float64()),
        "Start_Lat": pa.array(start_lat, pa.float64()),
        **others,
    }


@pytest.mark.parametrize("nothing", [None, 0.0, float("nan")])
def test_each_row_of_two_joined_dialects_has_the_value_of_either(tmp_path: Path, nothing: float | None) -> None:
    columns = joined([*LON[:2], nothing, nothing], [nothing, nothing, *LON[2:]])
    source = opened(written(tmp_path, columns))
    [batch] = list(source.batches())
    assert batch.lon is not None
    assert batch.lat is not None
    assert (batch.lon[0].tolist(), batch.lat[0].tolist(), batch.n_differing) == (LON, LAT, 0)
    assert source.dialects == ("several joined: pickup_longitude or Start_Lon",)


def test_rows_in_which_two_columns_differ_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, joined(LON, [LON[0], -73.9, -73.9, None]))
    [batch] = list(opened(path).batches())
    assert batch.lon is not None
    assert (batch.lon[0].tolist(), batch.n_differing) == (LON, 2)
    assert point_counts(points(path), (500.0,)).differing_rows == 2


def test_longitude_and_latitude_of_a_row_come_from_one_pair(tmp_path: Path) -> None:
    columns = joined(LON, [-73.9] * 4)
    columns["pickup_latitude"] = pa.array([40.7, None, None, None], pa.float64())
    [batch] = list(opened(written(tmp_path, columns)).batches())
    assert batch.lon is not None
    assert batch.lat is not None
    assert batch.lon[0].tolist() == [LON[0], -73.9, -73.9, -73.9]
    assert batch.lat[0].tolist() == [40.7, *LAT[1:]]


def test_two_columns_of_zone_ids_and_of_times(tmp_path: Path) -> None:
    columns = {
        "PULocationID": pa.array([161, None, None, 7], pa.int64()),
        "PUlocationID": pa.array([None, 162.0, 0, 8], pa.float64()),
        "pickup_datetime": pa.array([TIMES[0], None, TIMES[2], None]),
        "lpep_pickup_datetime": pa.array([None, TIMES[1], None, TIMES[3]]),
    }
    [batch] = list(opened(written(tmp_path, columns), hours="7-10").batches())
    assert batch.zone is not None
    assert batch.pickup_minute is not None
    assert (batch.zone[0].tolist(), batch.n_differing) == ([161, 162, -1, 7], 1)
    assert (batch.pickup_minute // 60 % 24).tolist() == [7, 8, 9, 10]


def test_columns_of_the_same_name_are_told_by_their_place(tmp_path: Path) -> None:
    table = pa.table([[1, None], [None, 2]], names=["PULocationID", "PULocationID"])
    pq.write_table(table, tmp_path / "trips.parquet")
    [batch] = list(opened(tmp_path / "trips.parquet").batches())
    assert batch.zone is not None
    assert batch.zone[0].tolist() == [1, 2]


def test_a_date_beside_a_time_is_left_alone(tmp_path: Path) -> None:
    columns = {"PULocationID": [1] * 4, "pickup_date": ["2016-01-04"] * 4, "pickup_datetime": TIMES}
    source = opened(written(tmp_path, columns), hours="7-10")
    assert [batch.n_differing for batch in source.batches()] == [0]
    assert not source.dialects[0].startswith("several")


FLAGS: dict[str, object] = {
    "boolean": [True, False, True, None],
    "text": ["Yes", "No", "true", "false"],
    "list": [[1], [2], [], None],
    "struct": [{"a": 1}] * 4,
    "binary": pa.array([b"\xff\xfe"] * 4),
    "nothing": pa.nulls(4),
    "decimal": pa.array([1, 2, 3, 4]).cast(pa.decimal128(21, 2)),
    "duration": pa.array([1, 2, 3, 4], pa.duration("s")),
}


@pytest.mark.parametrize(
    "column", ["store_and_fwd_flag", "rate_code", "passenger_count", "trip_distance", "DOLocationID"]
)
@pytest.mark.parametrize("values", FLAGS.values(), ids=FLAGS)
def test_columns_that_nothing_reads_decide_nothing(tmp_path: Path, column: str, values: object) -> None:
    path = written(tmp_path, {"pickup_longitude": LON, "pickup_latitude": LAT, column: values})
    assert sum(batch.n_rows for batch in opened(path).batches()) == 4


def test_two_vendors_are_no_trouble(tmp_path: Path) -> None:
    columns = {"VendorID": [1] * 4, "vendor_id": ["CMT"] * 4, "pickup_longitude": LON, "pickup_latitude": LAT}
    assert opened(written(tmp_path, columns)).kind == "coordinates"


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1_451_606_400] * 4, pa.uint32()),
        pa.array([1.5e9] * 4),
        pa.array([2**62] * 4).cast(pa.timestamp("us")),
        pa.array([-(2**62)] * 4).cast(pa.timestamp("ms")),
        pa.array(["2016-01-31", "noon", "", "x"]),
        pa.array([b"\xff"] * 4),
        pa.array([0] * 4, pa.date64()),
    ],
    ids=lambda array: f"{array.type} {len(array)}",
)
def test_times_are_nothing_to_a_run_that_asks_for_none(tmp_path: Path, times: pa.Array) -> None:
    path = written(tmp_path, {"pickup_datetime": times, "pickup_longitude": LON, "pickup_latitude": LAT})
    assert sum(batch.n_rows for batch in opened(path).batches()) == 4
    with pytest.raises(RowError, match=r"trips\.parquet, row 1, column 'pickup_datetime': found .*expected a time"):
        opened(path, hours="7-10")


def test_a_type_that_holds_no_times_is_named(tmp_path: Path) -> None:
    columns = {"pickup_datetime": pa.array([1_451_606_400] * 4, pa.uint32()), "PULocationID": [1] * 4}
    with pytest.raises(RowError, match=r"of type uint32.*Convert it, or leave out hours and weekdays"):
        opened(written(tmp_path, columns), hours="7-10")


ZEROS = [0.0] * 4


@pytest.mark.parametrize("zero", [0.0, -0.0, None, float("nan")])
def test_zone_ids_are_used_where_all_coordinates_are_zero(tmp_path: Path, zero: float | None) -> None:
    columns = {"pickup_longitude": [0.0, zero, zero, 0.0], "pickup_latitude": ZEROS, "PULocationID": [1, 2, 3, 4]}
    path = written(tmp_path, columns)
    source = opened(path)
    [batch] = list(source.batches())
    assert batch.zone is not None
    assert (source.kind, batch.zone[0].tolist()) == ("zones", [1, 2, 3, 4])
    with pytest.raises(DialectError, match="coordinates that are all empty or 0"):
        opened(path, use_location_ids=False)


def test_zero_coordinates_in_text(tmp_path: Path) -> None:
    text = "pickup_longitude,pickup_latitude,PULocationID\n" + "0.000000,0,7\n" * 3
    (tmp_path / "trips.csv").write_text(text)
    assert opened(tmp_path / "trips.csv").kind == "zones"


def test_files_of_zeros_and_of_coordinates_are_of_different_kinds(tmp_path: Path) -> None:
    zeros = {"pickup_longitude": ZEROS, "pickup_latitude": ZEROS, "PULocationID": [1, 2, 3, 4]}
    filled = {"pickup_longitude": LON, "pickup_latitude": LAT}
    files = [written(tmp_path, zeros, "a.parquet"), written(tmp_path, filled, "b.parquet")]
    with pytest.raises(DialectError, match=r"different kinds.*a\.parquet: zones.*b\.parquet: coordinates"):
        opened(*files)
    assert opened(files[0], written(tmp_path, {"PULocationID": [1]}, "c.parquet")).kind == "zones"


def test_zone_ids_are_named_where_most_coordinates_are_zero(tmp_path: Path) -> None:
    columns = {
        "pickup_longitude": [*ZEROS[:3], LON[3]],
        "pickup_latitude": [*ZEROS[:3], LAT[3]],
        "PULocationID": [1] * 4,
    }
    with pytest.raises(MostlyDroppedError, match=r"zone ids as well \(PULocationID\).*remove the columns"):
        points(written(tmp_path, columns))


def test_the_record_says_which_clock_was_read(tmp_path: Path) -> None:
    columns = {"pickup_longitude": LON, "pickup_latitude": LAT, "pickup_datetime": TIMES}
    columns["pickup_datetime"] = pa.array(TIMES, pa.timestamp("us", "UTC"))  # 2 to 5 o'clock in New York
    path = written(tmp_path, columns)
    counts = point_counts(points(path, hours="2-4"), (500.0,))
    assert (counts.used, counts.dropped["time"], counts.clocks) == (2, 2, ("converted from UTC",))
    assert counts.clock == "New York's; times converted from UTC"
    assert point_counts(points(path), (500.0,)).clocks == ()


def test_the_result_says_which_clock_was_read_and_how_many_rows_differ() -> None:
    record = an_experiment_record()
    told = {"clocks": ("converted from UTC",), "differing_rows": 1_234}
    text = to_text(record.model_copy(update={"points": record.points.model_copy(update=told)}))
    assert "New York's; times converted from UTC" in text
    assert "1,234 rows: two columns of one meaning have different values" in text
    assert "clock" not in to_text(record)


def test_data_check_refuses_what_a_run_would(tmp_path: Path) -> None:
    columns = {"pickup_longitude": LON, "pickup_latitude": LAT, "dropoff_longitude": ["x"] * 4, "dropoff_latitude": LAT}
    path = written(tmp_path, columns)
    assert opened(path).kind == "coordinates"
    with pytest.raises(SourceError, match="column 'dropoff_longitude': found 'x', expected a number"):
        check_file(SourceFile(path.name, path, path.stat().st_size), Settings())


def test_joined_columns_are_all_named_by_data_check(tmp_path: Path) -> None:
    path = written(tmp_path, joined(LON, LON))
    report = check_file(SourceFile(path.name, path, path.stat().st_size), Settings())
    assert [column.role for column in report.columns] == ["pickup_lon", "pickup_lat"] * 2
    assert report.ends[0].used == 4
    assert np.sum([end.dropped["null"] for end in report.ends]) == 0


@pytest.mark.parametrize(
    ("name", "hours", "used"),
    [
        ("two_dialects_joined_by_name.parquet", None, 2_362),
        ("two_dialects_joined_by_name.parquet", "7-10", 302),
        ("times_are_instants_in_utc.parquet", "7-10", 302),
        ("open_data_month_first_am_pm.csv", None, 2_362),
        ("open_data_month_first_am_pm.csv", "7-10", 302),
        ("flag_is_boolean.parquet", None, 2_362),
        ("times_are_uint32_seconds.parquet", None, 2_362),
        ("times_beyond_year_9999.parquet", None, 2_362),
    ],
)
def test_real_trips_in_odd_forms(shared_cases: Path, name: str, hours: str | None, used: int) -> None:
    assert points(shared_cases / "data" / "files" / name, hours).n_used == used
