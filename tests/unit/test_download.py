"""Downloads go on where they stopped, and are never of the wrong size."""

from __future__ import annotations

import fcntl
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.core.errors import SourceError, SourceNotFoundError
from flows.datasets.download import Downloader
from tests.unit.file_server import FileServer, serve

BODY = random.Random(0).randbytes(3_000_000)  # noqa: S311 - no secret


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve(FileServer({"/a.bin": BODY})) as running:
        yield running


class Trial:
    """A downloader and what it told."""

    def __init__(self, folder: Path) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.paused: list[float] = []
        self.downloader = Downloader(folder, lambda *step: self.told.append(step), self.paused.append)

    def get(self, url: str) -> bytes:
        with self.downloader:
            return self.downloader.receive(self.downloader.ask(url)).read_bytes()


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_the_whole_file_comes_and_progress_is_told(server: FileServer, trial: Trial) -> None:
    assert trial.get(f"{server.url}/a.bin") == BODY
    assert trial.told[-1] == ("a.bin", len(BODY), len(BODY))
    assert trial.paused == []


def test_a_cut_connection_is_resumed(server: FileServer, trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    server.faults = ["cut", "cut", 503]
    with caplog.at_level(logging.WARNING):
        assert trial.get(f"{server.url}/a.bin") == BODY
    starts = [int(request.split()[2]) for request in server.requests if request.startswith("GET")]
    assert starts == [0, 1_500_000, 2_250_000, 2_250_000]
    assert trial.paused == [1, 2, 4]
    assert "trying again in 4 s" in caplog.text


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["cut", *[500] * 5]
    with pytest.raises(SourceError, match="it goes on where it stopped"):
        Trial(tmp_path).get(f"{server.url}/a.bin")
    server.requests.clear()
    assert Trial(tmp_path).get(f"{server.url}/a.bin") == BODY
    assert server.requests == ["HEAD /a.bin 0", "GET /a.bin 1500000"]


def test_a_whole_partial_file_is_not_read_again(server: FileServer, tmp_path: Path) -> None:
    Trial(tmp_path).get(f"{server.url}/a.bin")
    server.requests.clear()
    assert Trial(tmp_path).get(f"{server.url}/a.bin") == BODY
    assert server.requests == ["HEAD /a.bin 0"]


def test_a_changed_file_starts_over_and_the_old_part_goes(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["cut", *[500] * 5]
    with pytest.raises(SourceError):
        Trial(tmp_path).get(f"{server.url}/a.bin")
    server.etag = '"v2"'
    server.files["/a.bin"] = BODY[::-1]
    assert Trial(tmp_path).get(f"{server.url}/a.bin") == BODY[::-1]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("etag", "ranges"), [(None, True), ('W/"v1"', True), ('"v1"', False)])
def test_without_a_validator_or_ranges_it_starts_over(
    server: FileServer, trial: Trial, etag: str | None, ranges: bool
) -> None:
    server.etag, server.ranges, server.faults = etag, ranges, ["cut"]
    assert trial.get(f"{server.url}/a.bin") == BODY
    assert [request for request in server.requests if request.startswith("GET")] == ["GET /a.bin 0"] * 2


@pytest.mark.parametrize("announced", [len(BODY) - 5, len(BODY) + 5])
def test_a_wrong_size_is_refused(server: FileServer, trial: Trial, announced: int) -> None:
    server.head_size = announced
    with pytest.raises(SourceError, match=f"the size changed from {announced} bytes to {len(BODY)}"):
        trial.get(f"{server.url}/a.bin")


def test_attempts_are_bounded(server: FileServer, trial: Trial) -> None:
    server.faults = [503] * 100
    with pytest.raises(SourceError, match="HTTP 503, 6 times"):
        trial.get(f"{server.url}/a.bin")
    assert trial.paused == [1, 2, 4, 8, 16]


def test_an_absent_file_is_not_asked_for_again(server: FileServer, trial: Trial) -> None:
    with pytest.raises(SourceNotFoundError, match="HTTP 404"):
        trial.get(f"{server.url}/b.bin")
    assert server.requests == ["HEAD /b.bin 0"]


def test_an_unreachable_server_is_named(trial: Trial) -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9/a\.bin: .*TAXI_TLC_BASE_URL"):
        trial.get("http://127.0.0.1:9/a.bin")


@pytest.mark.parametrize("url", ["tlc/a.bin", "ftp://127.0.0.1/a.bin", "http://127.0.0.1:port/a.bin"])
def test_what_is_no_address_is_refused_at_once(trial: Trial, url: str) -> None:
    with pytest.raises(SourceError, match="TAXI_TLC_BASE_URL"):
        trial.get(url)
    assert trial.paused == []


def test_two_downloads_of_one_file_do_not_mix(server: FileServer, tmp_path: Path) -> None:
    first = Trial(tmp_path)
    with first.downloader as downloader:
        partial = downloader.receive(downloader.ask(f"{server.url}/a.bin"))
    with partial.open("ab") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="another process"):
            Trial(tmp_path).get(f"{server.url}/a.bin")
