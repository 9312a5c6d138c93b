"""What an earlier version wrote, in tests/kept, is still read: each kind of record, and the exporter's counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.telemetry.exporter.state import load
from tests.unit.test_exporter_state import some_state
from tests.unit.test_imports import REPOSITORY

KEPT = REPOSITORY / "tests" / "kept"


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(KEPT, tmp_path / "kept")
    monkeypatch.setenv("TAXI_STORE_DIR", str(tmp_path / "kept"))


def stdout(*words: str) -> str:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=file.parts[-3]) for file in KEPT.glob("taxi-experiments/*/date=*/*.json")]
)
def test_a_record_is_shown_as_it_was_written(file: Path) -> None:
    shown = json.loads(stdout("records", "show", "--json", file.stem))
    assert shown == json.loads(file.read_bytes())
    assert file.stem in stdout("records", "show", file.stem)


def test_experiments_are_listed_the_newest_first() -> None:
    listed = json.loads(stdout("records", "ls", "--json"))
    assert [record["id"] for record in listed] == ["20261201T013411Z-e2674113", "20261201T013408Z-3c7d9b47"]
    assert [record["spec"]["hours"] for record in listed] == [None, "7-10"]


def test_counts_are_what_they_were() -> None:
    assert load(KEPT / "exporter") == some_state()
