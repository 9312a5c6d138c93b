"""Every Python block of the documents runs as it stands, and every command of the guide."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import prefect
import pytest
from click.testing import CliRunner
from prefect import Flow
from prefect.cli._app import _app as prefect_command

from flows.cli import main
from flows.core.settings import load_settings
from flows.datasets.synthetic import write_synthetic_month
from flows.records.storage import list_records
from flows.store import open_store
from tests.conftest import REPOSITORY
from tests.documents import DOCUMENTS, name_of

MONTH = "yellow_tripdata_2025-09.parquet"
CSV_MONTH = "yellow_tripdata_2016-01.csv"
WITHOUT_END = "exporter"
NOT_HERE = {("data", "fetch"), *(("platform", name) for name in ("apply", "env", "forward", "password"))}
"""Commands that need the network or a cluster: only their words are checked."""


def blocks(name: str, language: str) -> Iterator[Any]:
    """The blocks of a document in one language, named by their line."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield pytest.param(match[1], id=f"{name}:{text[: match.start()].count(chr(10)) + 1}")


@pytest.fixture
def _month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The month that the examples name is in the store, another one in the working folder; their trips are made up."""
    write_synthetic_month(tmp_path / MONTH, rows=3000)
    settings = load_settings()
    open_store(settings).put_file(settings.data_bucket, MONTH, tmp_path / MONTH)
    pd.read_parquet(tmp_path / MONTH).to_csv(tmp_path / CSV_MONTH, index=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_month")
@pytest.mark.parametrize("block", [block for document in DOCUMENTS for block in blocks(name_of(document), "python")])
def test_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_deployment(flow: Flow[..., Any], **arguments: Any) -> None:
        """All that `serve` does before it waits for the clock."""
        flow.to_deployment(**arguments)

    monkeypatch.setattr(Flow, "serve", make_deployment)
    monkeypatch.setattr(prefect, "serve", lambda *deployments: None, raising=False)
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.usefixtures("_month")
@pytest.mark.parametrize("block", [*blocks("docs/workflows.md", "bash")])
def test_commands_run(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        program, *args = words
        if program == "prefect":
            prefect_command.parse_args(args, exit_on_error=False, print_error=False)
        elif program == "taxi-flows":
            run(main, with_ids(args))
        elif program == "eval":
            (command,) = re.findall(r"^\$\(taxi-flows (.*)\)$", args[0])
            run(main, shlex.split(command))
        elif program == "python" and args[0].startswith("scripts/"):
            run(runpy.run_path(str(REPOSITORY / args[0]))["main"], args[1:])
        else:
            assert program == "python"
            monkeypatch.setattr(sys, "argv", args)
            runpy.run_path(str(REPOSITORY / args[0]), run_name="__main__")


def run(command: click.Command, args: list[str]) -> None:
    if tuple(args[:2]) in NOT_HERE:
        main.commands[args[0]].commands[args[1]].make_context(args[1], args[2:])  # type: ignore[attr-defined]
        return
    if args[:1] == [WITHOUT_END]:
        main.commands[WITHOUT_END].make_context(WITHOUT_END, args[1:])
        return
    done = CliRunner().invoke(command, args)
    assert done.exit_code == 0, f"{args}: {done.stderr}"
    assert done.stdout, args


def with_ids(args: list[str]) -> list[str]:
    """The words with each ID replaced by that of a record that is there: a sweep to resume, or experiments."""
    if "ID" not in args:
        return args
    settings = load_settings()
    newest = list_records(open_store(settings), settings, limit=args.count("ID"))
    ids = iter([newest[0].sweep_id or ""] if "--resume" in args else [record.id for record in newest])
    return [next(ids) if word == "ID" else word for word in args]
