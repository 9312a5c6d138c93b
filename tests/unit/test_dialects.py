"""The dialect table, against the headers of TLC's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.readers.dialects import dialect_table, normalised

HEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "yellow": {
        "yellow 2009": ("2009-01", "2009-07", "2009-11"),
        "yellow 2010-2014": ("2010-01", "2012-01", "2013-11", "2014-01", "2014-07", "2014-11"),
        "yellow 2015-2016": ("2015-01", "2015-03", "2015-05", "2015-07", "2016-01", "2016-05"),
        "yellow 2016-2018": ("2016-07", "2016-09", "2016-11", "2017-01", "2018-01", "2018-11"),
        "yellow 2019-2024": ("2019-01", "2019-09", "2020-05"),
    },
    "green": {
        "green 2013-2014": ("2013-09", "2013-11", "2014-01", "2014-07", "2014-11"),
        "green 2015-2016": (
            *("2015-01", "2015-03", "2015-05", "2015-07", "2015-09", "2015-11"),
            *("2016-01", "2016-03", "2016-05"),
        ),
        "green 2016-2018": ("2016-07", "2016-09", "2016-11", "2017-01", "2018-01", "2018-11"),
        "green 2019-2024": ("2019-01", "2019-09", "2020-05"),
    },
    "fhv": {
        "fhv 2015-2016": ("2015-01", "2016-01", "2016-11"),
        "fhv 2017-2025": (
            *("2017-01", "2017-03", "2017-05", "2017-07", "2017-09", "2017-11"),
            *("2019-01", "2019-09", "2020-05"),
        ),
        "fhv 2018": ("2018-01", "2018-07", "2018-11"),
    },
    "fhvhv": {"fhvhv 2019-2024": ("2019-03", "2019-11", "2020-05")},
}
CASES = [(s, d, month) for s, dialects in HEADS.items() for d, months in dialects.items() for month in months]
PUBLISHED_PARQUET = {
    "yellow 2019-2024": "VendorID tpep_pickup_datetime PULocationID congestion_surcharge airport_fee",
    "yellow 2025": "VendorID tpep_pickup_datetime PULocationID congestion_surcharge Airport_fee cbd_congestion_fee",
    "green 2025": "VendorID lpep_pickup_datetime PULocationID congestion_surcharge cbd_congestion_fee",
    "fhv 2017-2025": "dispatching_base_num pickup_datetime dropOff_datetime PUlocationID DOlocationID SR_Flag",
    "fhvhv 2019-2024": "hvfhs_license_num request_datetime pickup_datetime PULocationID DOLocationID trip_miles",
    "fhvhv 2025": "hvfhs_license_num pickup_datetime PULocationID DOLocationID trip_miles cbd_congestion_fee",
}


def first_line(path: Path) -> list[str]:
    return [name.strip(' "') for name in path.read_bytes().splitlines()[0].decode().split(",")]


@pytest.mark.parametrize(("service", "dialect", "month"), CASES)
def test_every_header_that_tlc_published_is_known(shared_data: Path, service: str, dialect: str, month: str) -> None:
    columns = first_line(shared_data / "messy" / "tlc_heads" / f"{service}_tripdata_{month}.csv")
    found = dialect_table().dialect_of(columns)
    roles = dialect_table().roles_of(columns)
    assert (found.name, found.service) == (dialect, service)
    assert "pickup_time" in roles
    assert {"pickup_lon", "pickup_lat", "dropoff_lon", "dropoff_lat"} <= set(roles) or "pickup_zone" in roles


def test_all_heads_are_among_the_cases(shared_data: Path) -> None:
    names = {path.name for path in (shared_data / "messy" / "tlc_heads").glob("*.csv")}
    assert names == {f"{service}_tripdata_{month}.csv" for service, _, month in CASES}


@pytest.mark.parametrize(("dialect", "columns"), PUBLISHED_PARQUET.items())
def test_published_parquet_is_known(dialect: str, columns: str) -> None:
    assert dialect_table().dialect_of(columns.split()).name == dialect


def test_names_are_compared_without_case_blanks_and_signs() -> None:
    assert {normalised(name) for name in (" Start_Lon", "startLon", "START-LON ", '"start_lon"')} == {"startlon"}


def test_aliases_are_normalised_and_belong_to_one_role() -> None:
    aliases = [alias for names in dialect_table().roles.values() for alias in names]
    words = aliases + [word for dialect in dialect_table().dialects for word in dialect.has | dialect.lacks]
    assert len(set(aliases)) == len(aliases)
    assert all(word == normalised(word) for word in words)


def test_each_dialect_can_be_reached() -> None:
    table = dialect_table()
    assert [table.dialect_of(sorted(dialect.has)).name for dialect in table.dialects] == [
        d.name for d in table.dialects
    ]


def test_of_two_pick_up_times_the_whole_one_comes_first() -> None:
    assert dialect_table().roles_of(["pickup_date", "pickup_datetime"])["pickup_time"] == (1, 0)


def test_a_bare_location_id_is_a_pick_up_in_fhv_alone() -> None:
    fhv = ["Dispatching_base_num", "Pickup_date", "locationID"]
    assert dialect_table().roles_of(fhv) == {"pickup_time": (1,), "pickup_zone": (2,)}
    assert dialect_table().roles_of(["LocationID", "Borough", "Zone", "service_zone"]) == {}


def test_columns_with_one_meaning_share_a_role() -> None:
    assert dialect_table().roles_of(["PULocationID", "fare", "PUlocationID"]) == {"pickup_zone": (0, 2)}


def test_longitudes_and_latitudes_are_paired_by_the_form_of_their_names() -> None:
    joined = ["Start_Lat", "pickup_latitude", "Start_Lon", "pickup_longitude", "pickup_lon"]
    assert dialect_table().roles_of(joined) == {"pickup_lon": (3, 2), "pickup_lat": (1, 0)}
    assert dialect_table().roles_of(["pickup_longitude", "start_lat"]) == {"pickup_lon": (0,), "pickup_lat": (1,)}


@pytest.mark.parametrize(
    ("role", "good", "bad"),
    [
        ("pickup_time", ["2016-01-31 07:05:00", "2009-01-04T02:52:00.000+08:00"], ["1", "N", "2016-01-31"]),
        ("pickup_zone", ["132", "0", "265.0"], ["-73.95", "-1", "N", "1.5"]),
        ("pickup_lon", ["-73.95", "0", "1e-05", ".5"], ["N", "2016-01-31 07:05:00"]),
        ("vendor", ["VTS", "2", "Creative Mobile"], ["2016-07-12 08:35:30"]),
        ("rate_code", ["1", "99.0"], ["-73.95", "N"]),
        ("store_flag", ["N", "y", "0", "1.0"], ["186", "-73.9"]),
    ],
)
def test_rules_tell_values_of_a_role(role: str, good: list[str], bad: list[str]) -> None:
    rule = next(rule for rule in dialect_table().rules if role in rule.roles)
    assert [rule.allows(text) for text in good] == [True] * len(good)
    assert [rule.allows(text) for text in bad] == [False] * len(bad)
