"""The command line as a whole: quick, exit codes, one message, nothing but the result on stdout."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.cli.common import INTERRUPTED, TaxiCommand, environment, print_rows
from flows.core.errors import ParameterError, StoreError
from flows.model.parameters import experiment_spec


def taxi_flows(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *args]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)


def test_help_names_every_command() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert all(f"\n  {name} " in done.output for name in ("run", "evaluate", "data", "records", "doctor"))


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["run"],
        ["run", "x.parquet", "--nonsense"],
        ["run", "x.parquet", "--eps", "half"],
        ["run", "x.parquet", "--min-samples", "1.5"],
        ["data", "fetch", "yellow"],
        ["data", "synth", "--rows", "many"],
        ["records", "show"],
    ],
)
def test_bad_usage_ends_with_2(args: list[str]) -> None:
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Usage:" in done.stderr


def failing(error: BaseException) -> click.Command:
    @click.command(cls=TaxiCommand)
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (StoreError("the store is full"), 1, "error: the store is full"),
        (ParameterError("eps is -1: use a radius above 0"), 2, "error: eps is -1: use a radius above 0"),
        (OSError(28, "No space left on device", "/x/y"), 1, "error: No space left on device: /x/y"),
        (ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow.parquet"), 1, "pip install 'taxi-flows["),
        (KeyboardInterrupt(), INTERRUPTED, "Stopped by Ctrl-C."),
    ],
)
def test_an_error_is_one_message_on_stderr(error: BaseException, exit_code: int, message: str) -> None:
    done = CliRunner().invoke(failing(error))
    assert done.exit_code == exit_code
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_fault_of_our_own_is_not_hidden() -> None:
    done = CliRunner().invoke(failing(ZeroDivisionError()))
    assert isinstance(done.exception, ZeroDivisionError)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_DEBUG", "1")
    done = CliRunner().invoke(failing(StoreError("the store is full")))
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("error: the store is full\n")


def test_a_malformed_setting_is_bad_usage() -> None:
    done = taxi_flows("data", "ls", TAXI_SILHOUETTE_SAMPLE="many")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "TAXI_SILHOUETTE_SAMPLE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    for number in range(2000):
        file = tmp_path / "store" / "taxi-data" / f"{number:04}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    command = [sys.executable, "-m", "flows", "data", "ls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_lists_are_plain_in_a_pipe_and_with_no_color(capsys: pytest.CaptureFixture[str]) -> None:
    long_key = "yellow/" * 30
    print_rows(("key", "size_bytes"), [{"key": long_key, "size_bytes": 1234567}], as_json=False)
    printed = capsys.readouterr().out
    assert long_key in printed
    assert "1,234,567" in printed
    assert "\x1b" not in printed


def test_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_IMAGE", "before")
    with environment({"TAXI_IMAGE": "now", "TAXI_SKIP_TRUNCATED": "true"}):
        assert os.environ["TAXI_IMAGE"] == "now"
        assert os.environ["TAXI_SKIP_TRUNCATED"] == "true"
    assert os.environ["TAXI_IMAGE"] == "before"
    assert "TAXI_SKIP_TRUNCATED" not in os.environ


@pytest.mark.parametrize("name", ["run", "evaluate"])
def test_options_have_the_defaults_of_the_flows(name: str) -> None:
    command = main.commands[name]
    options = {parameter.name: parameter.default for parameter in command.params}
    expected = {
        parameter.name: parameter.default
        for parameter in inspect.signature(experiment_spec).parameters.values()
        if parameter.name != "data_source"
    }
    assert {key: options[key] for key in expected} == expected
