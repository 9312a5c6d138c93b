"""The doctor names what works, what does not, and how to mend it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.cli.checks import (
    check_prefect_api,
    check_proxies,
    check_pushgateway,
    check_resources,
    check_store,
    check_temporary_files,
    check_zone_table,
    examine,
)
from flows.cli.embedded import start_server
from flows.core.settings import load_settings
from tests.unit.file_server import FileServer, serve

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve(FileServer({"/api/health": b"true", "/api/admin/version": b'"3.8.8"', "/-/ready": b"OK"})) as running:
        yield running


@pytest.fixture(autouse=True)
def _embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts at once; tests/flows has the real one."""
    monkeypatch.setattr("flows.cli.embedded.try_server", lambda: None)


def test_a_fresh_machine_works(tmp_path: Path) -> None:
    checks = {check.name: check for check in examine(load_settings())}
    assert all(check.ok for check in checks.values())
    assert "embedded" in checks["Prefect API"].found
    assert "taxi-flows data fetch" in checks["Zone table"].mend
    assert str(tmp_path / "store") in checks["Store"].found


def test_the_probe_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    assert check_store(load_settings()).ok
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_store_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TAXI_STORE_DIR", str(tmp_path / "file"))
    check = check_store(load_settings())
    assert not check.ok
    assert "TAXI_STORE_DIR" in check.found


def test_services_that_answer_are_ok(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{server.url}/api")
    monkeypatch.setenv("PUSHGATEWAY_URL", server.url)
    settings = load_settings()
    assert check_prefect_api(settings) == ("Prefect API", True, f"{server.url}/api", "")
    assert check_pushgateway(settings) == ("Pushgateway", True, server.url, "")


def test_a_pushgateway_may_be_given_as_host_and_port(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHGATEWAY_URL", server.url.removeprefix("http://"))
    assert check_pushgateway(load_settings()).ok


def test_a_prefect_home_that_can_not_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("flows.cli.embedded.try_server", start_server)
    check = check_prefect_api(load_settings())
    assert not check.ok
    assert str(tmp_path / "file") in check.found


def test_a_profiles_api_is_asked(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cli.embedded.try_server", lambda: f"{server.url}/api")
    assert check_prefect_api(load_settings()).ok
    monkeypatch.setattr("flows.cli.embedded.try_server", lambda: f"{NOBODY}/api")
    assert f"{NOBODY}/api of the Prefect profile does not answer" in check_prefect_api(load_settings()).found


def test_each_proxy_is_tried(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"http": server.url, "no": "host.example"}
    monkeypatch.setattr("flows.cli.checks.proxies", lambda: found)
    assert check_proxies().ok
    for address, reason in [
        ("http://user:secret@127.0.0.1:9", "http_proxy=127.0.0.1:9 does not answer"),
        ("socks://127.0.0.1:9", "can't be used"),
    ]:
        found["http"] = address
        check = check_proxies()
        assert not check.ok
        assert reason in check.found
        assert "secret" not in check.found


def test_a_folder_for_temporary_files_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert f"{tmp_path}, " in check_temporary_files().found
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert not check_temporary_files().ok
    assert "TMPDIR" in check_temporary_files().mend


def test_services_that_are_down_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{NOBODY}/api")
    monkeypatch.setenv("PUSHGATEWAY_URL", NOBODY)
    settings = load_settings()
    for check, variable in (
        (check_prefect_api(settings), "PREFECT_API_URL"),
        (check_pushgateway(settings), "PUSHGATEWAY_URL"),
    ):
        assert not check.ok
        assert f"{NOBODY}" in check.found
        assert "does not answer" in check.found
        assert variable in check.mend


def test_an_address_without_api_is_named(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    check = check_prefect_api(load_settings())
    assert not check.ok
    assert "HTTP 404" in check.found
    assert "ends in /api" in check.mend


def test_a_wrong_password_is_named(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{server.url}/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:wrong")
    server.faults = ["", 401]
    check = check_prefect_api(load_settings())
    assert not check.ok
    assert "HTTP 401" in check.found
    assert "PREFECT_API_AUTH_STRING" in check.mend


def test_a_zone_table_is_read(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_ZONE_TABLE", str(shared_data / "zones"))
    check = check_zone_table(load_settings())
    assert check.ok
    assert "260 zones" in check.found


def test_a_broken_zone_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "taxi_zones.zip"
    file.write_bytes(b"no zip")
    monkeypatch.setenv("TAXI_ZONE_TABLE", str(file))
    check = check_zone_table(load_settings())
    assert not check.ok
    assert str(file) in check.found


def test_a_zone_table_in_the_store_is_found(shared_data: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "taxi_zones"), "zip", shared_data / "zones")
    done = CliRunner().invoke(main, ["data", "put", archive, "--as", "reference/taxi_zones.zip"])
    assert done.exit_code == 0, done.stderr
    assert "260 zones" in check_zone_table(load_settings()).found


def test_limits_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_N_JOBS", "3")
    monkeypatch.setenv("TAXI_MEMORY_LIMIT_BYTES", str(1 << 40))
    assert check_resources(load_settings()).found.startswith("3 CPUs, ")


def test_the_command_prints_a_line_each_and_fails_with_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = CliRunner().invoke(main, ["doctor"])
    assert fine.exit_code == 0
    assert [line.split()[0] for line in fine.stdout.splitlines()] == ["ok"] * 7

    monkeypatch.setenv("PUSHGATEWAY_URL", NOBODY)
    ill = CliRunner().invoke(main, ["doctor"])
    assert ill.exit_code == 1
    assert "\nfail  Pushgateway: " in ill.stdout

    listed = CliRunner().invoke(main, ["doctor", "--json"])
    assert listed.exit_code == 1
    assert [check["ok"] for check in json.loads(listed.stdout)] == [True, True, False, True, True, True, True]
