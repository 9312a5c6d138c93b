"""`data check`: what a file is said to be and to lose, by the data's README."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.core.errors import RowError, SourceError
from flows.core.settings import Settings
from flows.model.points import SourceFile
from flows.steps.check import FileReport, check_file

ZONE_IDS = frozenset(range(1, 264)) - {57, 104, 105}


def check(path: Path, zone_ids: frozenset[int] | None = ZONE_IDS) -> FileReport:
    return check_file(SourceFile(path.name, path, path.stat().st_size), Settings(), zone_ids)


@pytest.mark.parametrize(
    ("name", "service", "rows", "null", "zero", "outside"),
    [
        ("yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet", "yellow", 33_276, 0, 542, 3),
        ("yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet", "yellow", 6_662, 0, 103, 1),
        ("yellow_2009-01-15_12h-13h.celinewmk-dbscan.parquet", "yellow", 21_242, 0, 0, 0),
        ("yellow_tripdata_2015-01_head2k.bhuvankumar007.csv", "yellow", 1_999, 0, 41, 0),
        ("yellow_tripdata_2016-01_head2k.bhuvankumar007.csv", "yellow", 1_999, 0, 36, 0),
        ("yellow_tripdata_2016-03_head2k.bhuvankumar007.csv", "yellow", 2_013, 0, 13, 1),
        ("yellow_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet", "yellow", 3_475, 0, 63, 0),
        ("trip_duration_2016H1_1pct.guebin-DV2023.parquet", "yellow", 14_587, 0, 0, 0),
        ("taxifare_2009-2015_with_time.gcp-tda.parquet", "yellow", 10_476, 0, 0, 5),
        ("taxifare_2009-2015_no_time_60k.gcp-tda.parquet", "yellow", 59_620, 0, 0, 58),
        ("green_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet", "green", 32_922, 0, 61, 8),
        ("green_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet", "green", 6_559, 0, 13, 0),
        ("green_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet", "green", 3_481, 0, 4, 0),
    ],
)
def test_coordinate_files_lose_what_their_readme_says(
    shared_data: Path, name: str, service: str, rows: int, null: int, zero: int, outside: int
) -> None:
    report = check(shared_data / "coords" / name)
    assert (report.service, report.kind, report.rows) == (service, "coordinates", rows)
    assert [end.end for end in report.ends] == ["pickup", "dropoff"]
    assert report.ends[0].dropped == {"null": null, "zero": zero, "outside": outside}
    assert all(end.used + sum(end.dropped.values()) == rows for end in report.ends)
    assert report.has_times == ("no_time" not in name)


def test_text_samples_lose_the_rows_without_coordinates(shared_data: Path) -> None:
    report = check(shared_data / "messy" / "yellow_month_samples_2009-2017_odd_months.yennanliu.parquet")
    assert report.ends[0].dropped == {"null": 591, "zero": 82, "outside": report.ends[0].dropped["outside"]}
    assert report.has_times


def test_unknown_zones_are_counted_where_the_zones_are_known(shared_data: Path) -> None:
    path = shared_data / "zone_trips" / "yellow_tripdata_2025-01_rows1-500.msmrnv1.csv"
    known, unknown = check(path), check(path, None)
    assert (known.kind, known.rows, known.dialect) == ("zones", 500, "yellow 2025")
    assert all(end.used + end.dropped["unknown_zone"] == 500 for end in known.ends)
    assert known.ends[1].dropped["unknown_zone"] > 0
    assert unknown.ends[1].dropped == {"null": 0}


def test_bad_rows_are_counted_and_listed(tmp_path: Path) -> None:
    rows = ["-73.98,40.75"] * 60
    for place in range(1, 51, 2):
        rows[place] += ",1"
    (tmp_path / "trips.csv").write_text("\n".join(["pickup_longitude,pickup_latitude", *rows, ""]))
    report = check(tmp_path / "trips.csv")
    assert (report.rows, report.bad_rows.n, report.bad_rows.lines) == (35, 25, tuple(range(3, 43, 2)))


def test_heads_name_dialect_columns_and_whole_rows(shared_data: Path) -> None:
    for path in sorted((shared_data / "messy" / "tlc_heads").glob("*.csv")):
        report = check(path)
        header, *rows = [line for line in path.read_bytes().split(b"\n")[:-1] if line.strip()]
        assert report.rows == len(rows), path.name
        assert report.truncated_last_line == (not path.read_bytes().endswith(b"\n")), path.name
        assert report.service == path.name.split("_")[0]
        assert report.dialect.startswith(report.service)
        assert [column.name for column in report.columns] == [n.strip(' "\r') for n in header.decode().split(",")]
        assert "pickup_time" in {column.role for column in report.columns}


def test_fhv_of_2015_has_pick_up_zones_alone(shared_data: Path) -> None:
    report = check(shared_data / "messy" / "tlc_heads" / "fhv_tripdata_2015-01.csv")
    assert [(c.name, c.role) for c in report.columns] == [
        ("Dispatching_base_num", None),
        ("Pickup_date", "pickup_time"),
        ("locationID", "pickup_zone"),
    ]
    assert [(end.end, end.used, end.dropped["null"]) for end in report.ends] == [("pickup", 0, 33)]


def test_a_file_that_is_no_trip_record_is_refused(shared_data: Path) -> None:
    path = shared_data / "messy" / "gx_misaligned" / "yellow_trip_data_sample_2016-01.great-expectations.csv.gz"
    with pytest.raises(RowError, match="rate_code_id"):
        check(path)
    with pytest.raises(SourceError, match="another suffix"):
        check(shared_data / "zones" / "taxi_zones.shp")
    with pytest.raises(SourceError, match="'LocationID'"):
        check(shared_data / "zones" / "taxi_zone_lookup.csv")
