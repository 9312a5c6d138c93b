"""The synthetic month: labelled, repeatable, shaped like TLC's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.core.errors import ParameterError
from flows.datasets import synthetic
from flows.datasets.synthetic import synthetic_name, write_synthetic_month


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / synthetic_name()
    write_synthetic_month(path, rows=70_000, seed=3)
    return path


def test_it_says_that_it_is_synthetic(month: Path) -> None:
    assert month.name == "synthetic_yellow_tripdata_2016-01.parquet"
    metadata = pq.read_schema(month).metadata
    assert metadata[b"synthetic"] == b"true"
    assert metadata[b"seed"] == b"3"


def test_columns_are_those_of_a_real_month(month: Path, shared_data: Path) -> None:
    real = shared_data / "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv"
    header = real.read_text().splitlines()[0]
    assert pq.read_schema(month).names == header.split(",")


def test_points_are_city_like(month: Path) -> None:
    table = pq.read_table(month)
    assert table.num_rows == 70_000
    lon = table["pickup_longitude"].to_numpy()
    lat = table["pickup_latitude"].to_numpy()
    zero = (lon == 0) & (lat == 0)
    inside = (lon >= -74.30) & (lon <= -73.65) & (lat >= 40.45) & (lat <= 40.95)
    assert 0.013 < zero.mean() < 0.017
    assert 0 < (~inside & ~zero).sum() < 100
    at_penn_station = np.hypot((lon + 73.9936) * 84_300, (lat - 40.7506) * 111_320) < 250
    assert at_penn_station.mean() > 0.03


def test_times_lie_in_the_month_and_trips_take_time(month: Path) -> None:
    table = pq.read_table(month)
    pickup = table["tpep_pickup_datetime"].to_numpy()
    assert pickup.min() >= np.datetime64("2016-01-01")
    assert pickup.max() < np.datetime64("2016-02-01")
    assert (table["tpep_dropoff_datetime"].to_numpy() > pickup).all()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_synthetic_month(tmp_path / name, rows=500, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not pq.read_table(tmp_path / "a").equals(pq.read_table(tmp_path / "c"))


def test_rows_depend_neither_on_row_groups_nor_on_how_many_follow(
    month: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "GROUP_BLOCKS", 1)
    small_groups, shorter = tmp_path / "groups", tmp_path / "shorter"
    write_synthetic_month(small_groups, rows=70_000, seed=3)
    write_synthetic_month(shorter, rows=66_000, seed=3)
    assert pq.ParquetFile(small_groups).num_row_groups == 2
    whole: pa.Table = pq.read_table(month)
    assert pq.read_table(small_groups).equals(whole)
    assert pq.read_table(shorter).equals(whole.slice(0, 66_000))


@pytest.mark.parametrize(("rows", "seed", "text"), [(0, 0, "rows is 0"), (1, -1, "seed is -1")])
def test_bad_numbers_are_refused(tmp_path: Path, rows: int, seed: int, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        write_synthetic_month(tmp_path / "x.parquet", rows=rows, seed=seed)


@pytest.mark.parametrize("month", ["2016-13", "201601", "jan", "2016-1", "0000-01"])
def test_a_bad_month_is_refused(tmp_path: Path, month: str) -> None:
    with pytest.raises(ParameterError, match="YYYY-MM"):
        write_synthetic_month(tmp_path / "x.parquet", month=month)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> pa.RecordBatch:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic, "_block", fail)
    with pytest.raises(OSError, match="No space left"):
        write_synthetic_month(tmp_path / "x.parquet", rows=10)
    assert list(tmp_path.iterdir()) == []
