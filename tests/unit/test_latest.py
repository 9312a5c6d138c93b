"""Which file a scheduled run takes where none is named: the latest month by name, whatever was uploaded last."""

from __future__ import annotations

import pytest

from flows.core.errors import SourceNotFoundError
from flows.core.settings import load_settings
from flows.datasets.latest import latest_month, month_of
from flows.store import open_store


def latest_of(*keys: str) -> str:
    """The key that is taken of these, uploaded in this order."""
    settings = load_settings()
    store = open_store(settings)
    for key in keys:
        store.put_bytes(settings.data_bucket, key, b"trips")
    return latest_month(store, settings).key


def test_the_latest_month_by_name_not_by_upload() -> None:
    assert latest_of("yellow_tripdata_2025-09.parquet", "yellow_tripdata_2024-12.parquet") == (
        "yellow_tripdata_2025-09.parquet"
    )


def test_yellow_before_a_later_month_of_another_service() -> None:
    assert latest_of("yellow_tripdata_2019-01.parquet", "green_tripdata_2025-09.parquet") == (
        "yellow_tripdata_2019-01.parquet"
    )


def test_without_yellow_the_latest_of_any_service() -> None:
    assert latest_of(
        "green_tripdata_2025-07.parquet", "fhvhv_tripdata_2025-08.parquet", "fhv_tripdata_2025-06.parquet"
    ) == ("fhvhv_tripdata_2025-08.parquet")


def test_of_one_month_tlcs_own_file() -> None:
    assert latest_of("a/yellow_2025-09_s10k.csv", "yellow_tripdata_2025-09.parquet", "z/yellow-2025-09.csv.gz") == (
        "yellow_tripdata_2025-09.parquet"
    )


@pytest.mark.parametrize(
    "key",
    [
        "reference/taxi_zones.zip",
        "yellow_tripdata_2025-13.parquet",
        "yellow_tripdata_12025-09.parquet",
        "yellow_tripdata_2025-09.parquet.tmp",
        "trips_2025-09.parquet",
        "bellyellowish_2025-09.parquet",
        "yellow_2025-09/notes.parquet",
    ],
)
def test_what_names_no_month_of_a_service(key: str) -> None:
    assert month_of(key) is None


@pytest.mark.parametrize(
    ("key", "service", "month"),
    [
        ("coords/yellow_2016-01_s50k_days01-20.parquet", "yellow", "2016-01"),
        ("Yellow_Tripdata_2015-02.csv", "yellow", "2015-02"),
        ("fhvhv_tripdata_2019-02.parquet", "fhvhv", "2019-02"),
        ("nyc-green-2016-01..2016-03.csv.gz", "green", "2016-03"),
    ],
)
def test_what_names_one(key: str, service: str, month: str) -> None:
    assert month_of(key) == (service, month, key)


def test_a_store_without_months_says_how_to_get_one() -> None:
    with pytest.raises(SourceNotFoundError, match=r"taxi-data.*taxi-flows data fetch yellow"):
        latest_of("reference/taxi_zones.zip")
