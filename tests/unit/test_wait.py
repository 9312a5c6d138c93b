"""Waiting for Prefect's API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.core.errors import PrefectApiError
from flows.operator.prefect import wait
from flows.operator.prefect.wait import wait_for_prefect_api
from tests.unit.file_server import FileServer, serve


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(wait, "_PAUSE_SECONDS", 0.01)
    with serve(FileServer({"/api/admin/version": b'"3.8.8"'})) as running:
        yield running


def ask(url: str, auth: str | None = None, wait_seconds: float = 5) -> list[str]:
    """What was said while waiting."""
    said: list[str] = []
    with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth}):
        wait_for_prefect_api(wait_seconds, said.append)
    return said


def test_an_api_that_is_up_is_not_waited_for(server: FileServer) -> None:
    assert ask(f"{server.url}/api") == []


def test_an_api_that_comes_up_late(server: FileServer) -> None:
    server.faults += [503, 503]
    (said,) = ask(f"{server.url}/api")
    assert said.startswith(f"Waiting for Prefect's API at {server.url}/api: HTTP 503")


def test_an_api_that_stays_away() -> None:
    with pytest.raises(
        PrefectApiError, match=r"waited 0\.2 s for Prefect's API at http://127\.0\.0\.1:9/api: .*refused"
    ):
        ask("http://127.0.0.1:9/api", wait_seconds=0.2)


@pytest.mark.parametrize(
    ("auth", "said"),
    [(None, "PREFECT_API_AUTH_STRING is not set"), ("admin:hunter2", "PREFECT_API_AUTH_STRING is wrong")],
)
def test_an_api_that_does_not_let_us_in(server: FileServer, auth: str | None, said: str) -> None:
    server.faults.append(401)
    with pytest.raises(PrefectApiError, match=said) as raised:
        ask(f"{server.url}/api", auth)
    assert "hunter2" not in str(raised.value)
    assert len(server.requests) == 1, "a wrong password is not tried again"


def test_something_else_at_that_address(server: FileServer) -> None:
    with pytest.raises(PrefectApiError, match="is no Prefect API"):
        ask(f"{server.url}/nothing")


def test_no_address() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(PrefectApiError, match="PREFECT_API_URL is not set"),
    ):
        wait_for_prefect_api(1, print)
