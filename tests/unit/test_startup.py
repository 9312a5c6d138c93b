"""What importing any module of the project does first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flows
from flows.core.startup import refuse_other_package
from tests.conftest import REPOSITORY


def test_a_package_of_the_same_name_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = REPOSITORY / "flows"
    refuse_other_package()
    monkeypatch.setattr(flows, "__file__", None)  # as Python merges folders of that name
    monkeypatch.setattr(flows, "__path__", [str(tmp_path / "flows"), str(own)])
    with pytest.raises(ImportError, match="two packages are named `flows`") as refused:
        refuse_other_package()
    assert f"{tmp_path / 'flows'} stands before Taxi Flows at {own}" in str(refused.value)


def test_prefect_sends_no_usage_data_and_says_nothing_of_them() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DO_NOT_TRACK" and name != "CI"}
    environment.pop("PREFECT_SERVER_ANALYTICS_ENABLED", None)
    program = (
        "import flows.core.errors\n"
        "from prefect._internal.analytics.enabled import is_telemetry_enabled\n"
        "from prefect.settings import get_current_settings\n"
        "print(is_telemetry_enabled(), get_current_settings().server.analytics_enabled)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.split() == ["False", "False"]


def test_a_command_imports_nothing_from_the_working_folder(tmp_path: Path) -> None:
    for name in ("random", "numpy", "pydantic", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working folder')")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", "flows", "data", "ls"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
