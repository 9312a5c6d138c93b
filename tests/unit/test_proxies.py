"""Addresses of this machine are reached without the proxies that the environment names."""

from __future__ import annotations

import os

import httpx
import pytest

from flows.core.proxies import bypass_proxies, drop_unusable_proxies, fault, proxies
from tests.unit.file_server import FileServer, serve

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.setenv(name, "")  # so that it is put back afterwards
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_server_on_this_machine_is_reached(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, NOBODY)
    with serve(FileServer({"/api/health": b"true"})) as server:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/api/health")
        bypass_proxies()
        assert httpx.get(f"{server.url}/api/health").text == "true"
    assert NOBODY in proxies().values(), "others are reached through it"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"no_proxy": "127.0.0.1,localhost,::1", "NO_PROXY": "127.0.0.1,localhost,::1"}),
        ({"no_proxy": "host.example"}, {"no_proxy": "host.example,127.0.0.1,localhost,::1"}),
        ({"NO_PROXY": "localhost, .example"}, {"NO_PROXY": "localhost,.example,127.0.0.1,::1"}),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*"}),
    ],
)
def test_exceptions_of_the_user_stay(
    given: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", NOBODY)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    bypass_proxies()
    bypass_proxies()
    assert {name: value for name, value in os.environ.items() if name.lower() == "no_proxy"} == expected


def test_without_a_proxy_nothing_is_changed() -> None:
    before = dict(os.environ)
    bypass_proxies()
    assert dict(os.environ) == before


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9", "socks://127.0.0.1:9", "http://host:port"])
def test_a_proxy_that_the_client_can_not_be_made_with_is_dropped(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    monkeypatch.setenv("http_proxy", NOBODY)
    if fault(address) is None:
        pytest.skip("the client takes it: socksio is installed")
    drop_unusable_proxies()
    assert proxies() == {"http": NOBODY}
    httpx.Client().close()
