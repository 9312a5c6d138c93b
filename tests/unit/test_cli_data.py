"""`data put|ls|synth|check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.cli import main


def data(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, args)])


def keys(*args: str) -> list[str]:
    return [row["key"] for row in json.loads(data("ls", *args, "--json").stdout)]


def test_an_empty_store_is_an_empty_list() -> None:
    assert data("ls", "--json").stdout == "[]\n"
    assert data("ls").exit_code == 0


def test_files_are_put_and_listed(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x\n")
    done = data("put", tmp_path / "a.csv", tmp_path / "b.csv", "--json")
    files = [{"key": "a.csv", "size_bytes": 2}, {"key": "b.csv", "size_bytes": 2}]
    assert json.loads(done.stdout) == [{**file, "put": True} for file in files]
    again = data("put", tmp_path / "a.csv", "--json")
    assert json.loads(again.stdout) == [{**files[0], "put": False}], "what is there is left out"
    assert data("put", tmp_path / "a.csv", "--as", "old/c.csv").exit_code == 0
    assert keys() == ["a.csv", "b.csv", "old/c.csv"]
    assert keys("old/") == ["old/c.csv"]


def test_a_listed_object_has_a_size_and_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n")
    data("put", tmp_path / "a.csv")
    [row] = json.loads(data("ls", "--json").stdout)
    assert row["size_bytes"] == 2
    assert row["modified"].startswith("20")
    assert "a.csv" in data("ls").stdout


def test_nothing_is_put_where_one_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n")
    for wrong, named in ((tmp_path / "b.csv", "no such file"), (tmp_path, "not a regular file")):
        done = data("put", tmp_path / "a.csv", wrong)
        assert done.exit_code == 1
        assert f"{wrong}: {named}" in done.stderr
    assert keys() == []


def test_two_files_of_one_key_are_refused_before_any_is_put(tmp_path: Path) -> None:
    parts = [tmp_path / f"month={month}" / "part-0.csv" for month in (1, 2)]
    for part in parts:
        part.parent.mkdir()
        part.write_text(part.parent.name)
    (tmp_path / "a.csv").write_text("x")
    done = data("put", tmp_path / "a.csv", *parts)
    assert done.exit_code == 2
    assert f"{parts[0]} and {parts[1]} would both become the object part-0.csv" in done.stderr
    assert "--as 'month=2/part-0.csv'" in done.stderr
    assert keys() == []


@pytest.mark.parametrize("name", [".hidden.csv", "a\\b.csv", "a\nb.csv", "\udcfc.csv"])
def test_a_file_whose_name_is_no_key_is_refused_before_any_is_put(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / name).write_text("x")
    done = data("put", tmp_path / "a.csv", tmp_path / name)
    assert (done.exit_code, "can't be a key" in done.stderr, "--as" in done.stderr) == (2, True, True)
    assert keys() == []


def test_addresses_are_neither_put_nor_checked() -> None:
    for command in (("put",), ("check",), ("check", "--minio")):
        done = data(*command, "https://host/yellow_tripdata_2024-01.parquet")
        assert done.exit_code == 2
        assert "addresses are not read" in done.stderr
        assert "`taxi-flows data fetch yellow 2024-01`" in done.stderr


def test_as_names_one_object(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x\n")
    done = data("put", tmp_path / "a.csv", tmp_path / "b.csv", "--as", "c.csv")
    assert done.exit_code == 2
    assert keys() == []


def test_a_synthetic_month_is_put(tmp_path: Path) -> None:
    done = data("synth", "--rows", "100", "--seed", "1", "--month", "2015-02", "--json")
    assert json.loads(done.stdout) == [{"key": "synthetic_yellow_tripdata_2015-02.parquet", "rows": 100}]
    assert keys() == ["synthetic_yellow_tripdata_2015-02.parquet"]


@pytest.mark.parametrize("args", [("--rows", "0"), ("--seed", "-1"), ("--month", "january")])
def test_a_bad_synthetic_month_is_bad_usage(args: tuple[str, str]) -> None:
    done = data("synth", *args)
    assert done.exit_code == 2
    assert keys() == []


def test_a_file_is_described(shared_data: Path) -> None:
    file = shared_data / "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv"
    [report] = json.loads(data("check", file, "--json").stdout)
    assert report["name"] == file.name or report["name"] == str(file)
    assert (report["service"], report["rows"], report["kind"]) == ("yellow", 1999, "coordinates")
    assert report["truncated_last_line"] is False
    pickup = report["ends"][0]
    assert pickup["dropped"]["zero"] == 36
    assert pickup["used"] == 1999 - sum(pickup["dropped"].values())
    roles = {column["name"]: column["role"] for column in report["columns"]}
    assert roles["tolls_amount"] is None
    assert roles["pickup_longitude"] is not None


def test_a_description_is_readable(shared_data: Path) -> None:
    done = data("check", shared_data / "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv")
    assert "1,999 rows, coordinates, with times" in done.stdout
    assert "zero 36" in done.stdout
    assert "columns known: " in done.stdout


def test_a_cut_off_last_line_is_reported(shared_data: Path) -> None:
    done = data("check", shared_data / "messy/tlc_heads/yellow_tripdata_2016-01.csv")
    assert done.exit_code == 0, done.stderr
    assert "--skip-truncated" in done.stdout


def test_bad_rows_are_reported(tmp_path: Path) -> None:
    rows = ["-73.98,40.75", "-73.98,40.75,1", "-73.98,40.75", '"-73.98,40.75', "-73.98,40.75"]
    (tmp_path / "trips.csv").write_text("\n".join(["pickup_longitude,pickup_latitude", *rows, ""]))
    done = data("check", tmp_path / "trips.csv")
    assert done.exit_code == 0, done.stderr
    assert "2 bad rows (lines 3, 5): `run` refuses the file without --skip-bad-rows 2" in done.stdout


def test_a_refused_file_is_named_and_the_others_are_described(shared_data: Path, tmp_path: Path) -> None:
    good = shared_data / "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv"
    missing = tmp_path / "missing.csv"
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("colour,size\nred,1\n")
    done = data("check", missing, foreign, tmp_path, good, "--json")
    assert done.exit_code == 1
    assert [report["rows"] for report in json.loads(done.stdout)] == [1999]
    assert len(done.stderr.strip().splitlines()) == 3
    assert "missing.csv" in done.stderr
    assert "foreign.csv" in done.stderr


def test_an_object_is_described() -> None:
    data("synth", "--rows", "100")
    [report] = json.loads(data("check", "--minio", "synthetic_yellow_tripdata_2016-01.parquet", "--json").stdout)
    assert report["rows"] == 100
