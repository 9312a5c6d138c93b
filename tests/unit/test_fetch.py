"""`data fetch`: TLC's months come into the store whole, or not at all."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from flows.core.errors import ParameterError, UnreadableFileError
from flows.core.settings import load_settings
from flows.datasets.fetch import check_month, fetch_month
from flows.datasets.names import FIRST_MONTHS
from flows.store import open_store
from tests.unit.file_server import FileServer, serve

MONTH = b"PAR1" + bytes(200_000) + b"PAR1"
MONTH_PATH = "/trip-data/yellow_tripdata_2025-09.parquet"
ZONES_PATH = "/misc/taxi_zones.zip"


def zone_archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("taxi_zones.shp", "polygons")
    return content.getvalue()


@pytest.fixture
def tlc(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serve(FileServer({MONTH_PATH: MONTH, ZONES_PATH: zone_archive()})) as server:
        monkeypatch.setenv("TAXI_TLC_BASE_URL", f"{server.url}/")
        yield server


def fetch(*args: str) -> Result:
    return CliRunner().invoke(main, ["data", "fetch", *args])


def stored() -> dict[str, int]:
    done = CliRunner().invoke(main, ["data", "ls", "--json"])
    assert done.exit_code == 0, done.stderr
    return {row["key"]: row["size_bytes"] for row in json.loads(done.stdout)}


@pytest.mark.usefixtures("tlc")
def test_the_month_and_the_zone_table_come_into_the_store(tmp_path: Path) -> None:
    done = fetch("yellow", "2025-09", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"key": "yellow_tripdata_2025-09.parquet", "size_bytes": len(MONTH), "downloaded": True},
        {"key": "reference/taxi_zones.zip", "size_bytes": len(zone_archive()), "downloaded": True},
    ]
    assert stored() == {"yellow_tripdata_2025-09.parquet": len(MONTH), "reference/taxi_zones.zip": len(zone_archive())}
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_what_is_there_already_is_not_read_again(tlc: FileServer) -> None:
    fetch("yellow", "2025-09")
    tlc.requests.clear()
    done = fetch("yellow", "2025-09", "--json")
    assert [row["downloaded"] for row in json.loads(done.stdout)] == [False, False]
    assert tlc.requests == [f"HEAD {MONTH_PATH} 0", f"HEAD {ZONES_PATH} 0"]


def test_a_month_that_tlc_has_revised_is_read_again(tlc: FileServer) -> None:
    fetch("yellow", "2025-09")
    tlc.files[MONTH_PATH] = b"PAR1 revised PAR1"
    tlc.etag = '"v2"'
    assert fetch("yellow", "2025-09").exit_code == 0
    assert stored()["yellow_tripdata_2025-09.parquet"] == len(b"PAR1 revised PAR1")


@pytest.mark.usefixtures("tlc")
def test_a_month_that_is_not_out_yet_is_named() -> None:
    done = fetch("green", "2025-10")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "no green trips of 2025-10" in done.stderr
    assert "two months" in done.stderr
    assert stored() == {}


@pytest.mark.parametrize("content", [b"<html>log in</html>", b"PAR", b""])
def test_what_is_no_parquet_does_not_come_into_the_store(tlc: FileServer, content: bytes, tmp_path: Path) -> None:
    tlc.files[MONTH_PATH] = content
    settings = load_settings()
    with pytest.raises(UnreadableFileError, match="no parquet file"):
        fetch_month("yellow", "2025-09", settings, open_store(settings), lambda *_: None)
    assert stored() == {}
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("service", "month", "named"),
    [
        ("uber", "2025-09", "yellow, green, fhv, fhvhv"),
        ("yellow", "2025-13", "YYYY-MM"),
        ("yellow", "2025-9", "YYYY-MM"),
        ("yellow", "2008-12", "begin in 2009-01"),
        ("fhvhv", "2019-01", "begin in 2019-02"),
    ],
)
def test_what_tlc_never_published_is_refused_before_any_request(
    tlc: FileServer, service: str, month: str, named: str
) -> None:
    done = fetch(service, "2025-09", month)
    assert done.exit_code == 2
    assert named in done.stderr
    assert tlc.requests == []


@pytest.mark.parametrize(("service", "month"), FIRST_MONTHS.items())
def test_first_months_are_accepted(service: str, month: str) -> None:
    check_month(service, month)
    with pytest.raises(ParameterError):
        check_month(service, "2009-00")
