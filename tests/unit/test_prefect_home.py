"""A PREFECT_HOME that the embedded server can't use is named before the server starts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.cli.embedded import start_prefect_api
from flows.cli.prefect_home import check_prefect_home
from flows.core.errors import SettingsError


def test_a_folder_is_made_and_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "new" / "prefect"))
    assert check_prefect_home() == tmp_path / "new" / "prefect"
    assert list((tmp_path / "new" / "prefect").iterdir()) == []


def test_a_relative_one_is_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", "prefect")
    assert check_prefect_home() == tmp_path / "prefect"


@pytest.mark.parametrize(("below", "reason"), [("file", "it is not a folder"), ("file/home", "Not a directory")])
def test_a_file_in_its_place_is_named(below: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / below
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.setattr("flows.cli.embedded.configured_api", lambda: None)  # whatever ran in this process before
    with pytest.raises(SettingsError, match=f"PREFECT_HOME is {re.escape(repr(str(home)))}: .*{reason}"):
        start_prefect_api(say=print)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    full = Path("/dev/full").open("wb")  # noqa: SIM115  (closed by what is tested)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: full)
    with pytest.raises(SettingsError, match=f"{re.escape(str(tmp_path))}.*No space left on device"):
        check_prefect_home()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("file", ["", "prefect.db"])
def test_another_users_is_named(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "prefect.db").touch()
    (home / file).chmod(0o500)
    monkeypatch.setenv("PREFECT_HOME", str(home))
    with pytest.raises(SettingsError, match=f"{re.escape(str(home))}.*Permission denied"):
        check_prefect_home()
    home.chmod(0o700)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "PREFECT_HOME", "TAXI_STORE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("command", ["doctor", "run x --no-minio", "suggest x --no-minio", "records ls", "data ls"])
def test_a_user_without_a_home_is_told_what_to_set(command: str) -> None:
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 2
    assert "HOME is not set" in done.stderr
    assert "TAXI_STORE_DIR" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("homeless")
def test_prefect_needs_a_home_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", "/somewhere")
    with pytest.raises(SettingsError, match="HOME is not set"):
        start_prefect_api(say=print)


@pytest.mark.usefixtures("homeless")
def test_a_named_store_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_STORE_DIR", str(tmp_path))
    done = CliRunner().invoke(main, ["data", "ls"])
    assert done.exit_code == 0, done.stderr
