"""`sweep`, `compare`, `aggregate`, `suggest` and `report`: checked before work, the flow called with what was asked."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from flows import aggregate_results, parameter_sweep
from flows.cli import main
from flows.cli import sweeps as sweeps_module
from flows.cli.options import ListOption, is_names, is_numbers, list_option
from flows.core.settings import load_settings
from flows.datasets.synthetic import put_synthetic_month, write_synthetic_month
from flows.model.sweeps import ComparisonRecord, KDistances, SweepRecord
from flows.records.sweep_storage import Folder, SweepPlan
from flows.runtime.sweep_result import AggregateResult, ComparisonResult, SweepResult
from flows.store import open_store
from tests.unit.builders import (
    a_cell,
    a_comparison_record,
    a_grid,
    a_sweep_record,
    an_aggregate_record,
    an_experiment_record,
)

MONTH = "yellow_tripdata_2016-01.parquet"
SWEEP_ID = "20260131T020304Z-00000001"


def cli(*args: str) -> Result:
    return CliRunner().invoke(main, args)


class Calls:
    """Stands in for the flows; keeps what they were called with."""

    def __init__(self) -> None:
        self.arguments: list[dict[str, Any]] = []

    def flow(self, result: Any) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.arguments.append(arguments)
            return result

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    """Flows are not run, and no server is started for them; the source is there."""
    stand_in = Calls()
    sweep = SweepResult(record=a_sweep_record(), location="/store/sweep.json")
    comparison = ComparisonResult(record=a_comparison_record(), location="/store/comparison.json")
    aggregate = AggregateResult(record=an_aggregate_record(), location="/store/aggregate.json")
    monkeypatch.setattr(parameter_sweep, "parameter_sweep_flow", stand_in.flow(sweep))
    monkeypatch.setattr(parameter_sweep, "compare_adapters_sweep_flow", stand_in.flow(comparison))
    monkeypatch.setattr(aggregate_results, "aggregate_results_flow", stand_in.flow(aggregate))
    for module in (sweeps_module, sys.modules["flows.cli.aggregate"]):  # its name in flows.cli is the command's
        monkeypatch.setattr(module, "launch", lambda load: load()())
    write_synthetic_month(tmp_path / MONTH, rows=10)
    settings = load_settings()
    open_store(settings).put_file(settings.data_bucket, MONTH, tmp_path / MONTH)
    return stand_in


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--eps-values 0.3 0.5 0.7", [0.3, 0.5, 0.7]),
        ("--eps-values 0.3,0.5 0.7", [0.3, 0.5, 0.7]),
        ("--eps-values=0.3,0.5 --eps-values 0.7", [0.3, 0.5, 0.7]),
        ("--eps-values 1", [1.0]),
        ("--eps-values auto", "auto"),
    ],
)
def test_lists_may_be_written_in_several_ways(calls: Calls, words: str, expected: list[float] | str) -> None:
    for args in ([MONTH, *words.split()], [*words.split(), MONTH]):
        done = cli("sweep", *args)
        assert done.exit_code == 0, done.stderr
        assert calls.arguments[-1]["eps_values"] == expected
        assert calls.arguments[-1]["data_source"] == [MONTH]


def test_options_reach_the_sweep(calls: Calls) -> None:
    options = "--adapter-type grid --min-samples-values 5 10 --metric noise_ratio --max-failed 2 --seed 7 --hours 7-10"
    done = cli(
        "sweep",
        MONTH,
        *options.split(),
        "--weekdays",
        "mon-fri",
        "--max-samples",
        "50",
        "--json",
        "--cells-per-chunk",
        "6",
    )
    assert done.exit_code == 0, done.stderr
    assert SweepRecord.model_validate_json(done.stdout) == a_sweep_record()
    assert calls.arguments == [
        {
            "data_source": [MONTH],
            "adapter_type": "grid",
            "eps_values": [0.3, 0.5, 0.7, 1.0],
            "min_samples_values": [5, 10],
            "metric": "noise_ratio",
            "coordinate_type": "pickup",
            "use_location_ids": True,
            "max_samples": 50,
            "use_minio": True,
            "seed": 7,
            "hours": "7-10",
            "weekdays": "mon-fri",
            "max_failed": 2,
            "allow_large": True,
            "resume": None,
            "max_parallel": 4,
            "cells_per_chunk": 6,
            "chunk_attempts": 2,
        }
    ]


def test_options_reach_the_comparison(calls: Calls) -> None:
    done = cli("compare", "--adapters", "sklearn", "grid", MONTH, "--eps-values", "0.1", "--json")
    assert done.exit_code == 0, done.stderr
    assert ComparisonRecord.model_validate_json(done.stdout) == a_comparison_record()
    [arguments] = calls.arguments
    assert arguments["adapters"] == ["sklearn", "grid"]
    assert arguments["eps_values"] == [0.1]
    assert arguments["data_source"] == [MONTH]


@pytest.mark.parametrize(
    ("name", "flow"),
    [
        ("sweep", parameter_sweep.parameter_sweep_flow),
        ("compare", parameter_sweep.compare_adapters_sweep_flow),
        ("aggregate", aggregate_results.aggregate_results_flow),
    ],
)
def test_options_have_the_defaults_of_the_flows(name: str, flow: Any) -> None:
    options = {parameter.name: parameter.default for parameter in main.commands[name].params}
    for parameter in inspect.signature(flow).parameters.values():
        if parameter.name not in {"data_source", "allow_large", "resume"}:
            default = options[parameter.name]
            assert (list(default) if isinstance(default, tuple) else default) == parameter.default, parameter.name


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["sweep"], "data_source"),
        (["sweep", MONTH, "--eps-values", "half"], "--eps-values"),
        (["sweep", MONTH, "--eps-values"], "--eps-values"),
        (["sweep", MONTH, "--eps-values", "0.1", "-1"], "eps is -1.0"),
        (["sweep", MONTH, "--eps-values", "nan"], "eps is nan"),
        (["sweep", MONTH, "--eps-values", "auto", "0.5"], "auto alone"),
        (["sweep", MONTH, "--eps-values", "0.5", "0.5"], "each value may stand there once"),
        (["sweep", MONTH, "--min-samples-values", "0"], "min_samples is 0"),
        (["sweep", MONTH, "--metric", "beauty"], "unknown metric 'beauty'"),
        (["sweep", MONTH, "--max-failed", "-1"], "--max-failed"),
        (["sweep", MONTH, "--adapter-type", "quantum"], "quantum"),
        (["sweep", MONTH, "--report", "page.pdf"], ".html"),
        (["sweep", MONTH, "--report", "nowhere/page.html"], "no folder"),
        (["sweep", "--resume", SWEEP_ID], "no sweep"),
        (["sweep", MONTH, "--resume", SWEEP_ID], "leave out data_source"),
        (["sweep", "--resume", SWEEP_ID, "--eps-values", "0.1"], "leave out eps_values"),
        (["compare", MONTH, "--adapters", "sklearn", "quantum"], "quantum"),
        (["compare", MONTH, "--adapters", "sklearn", "sklearn"], "each value may stand there once"),
        (["compare", MONTH, "--eps-values", "auto"], "--eps-values"),
        (["aggregate", "--days", "0"], "days is 0"),
        (["suggest", MONTH, "--min-samples-values", "0"], "min_samples is 0"),
        (["report", "nothing", "-o", "page.html"], "no id"),
        (["report", "latest", "-o", "page.txt"], ".html"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_refused_before_work(calls: Calls, args: list[str], named: str) -> None:
    done = cli(*args)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert named in done.stderr
    assert calls.arguments == []


def test_a_grid_of_many_cells_is_asked_for_twice(calls: Calls) -> None:
    many = [str(number) for number in range(1, 10_002)]
    args = ["sweep", MONTH, "--eps-values", "0.5", "--min-samples-values", *many, "--json"]
    refused = cli(*args)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert cli(*args, "--yes").exit_code == 0
    assert len(calls.arguments[0]["min_samples_values"]) == 10_001


def test_a_resumed_sweep_has_its_own_grid(calls: Calls) -> None:
    settings = load_settings()
    spec = a_grid([a_cell(0.05, 7, adapter="grid")], source=MONTH)
    plan = SweepPlan(id=SWEEP_ID, spec=spec, suggestion=None, sha256s=("0f",))
    Folder(open_store(settings), settings, "sweeps", SWEEP_ID).keep("plan", plan)
    done = cli("sweep", "--resume", SWEEP_ID, "--max-failed", "3")
    assert done.exit_code == 0, done.stderr
    [arguments] = calls.arguments
    assert arguments["resume"] == SWEEP_ID
    assert (arguments["data_source"], arguments["adapter_type"]) == ([MONTH], "grid")
    assert (arguments["eps_values"], arguments["min_samples_values"]) == ([0.05], [7])
    assert arguments["max_failed"] == 3


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("args", [("compare", MONTH), ("aggregate", "--days", "3")], ids=lambda args: args[0])
def test_a_table_is_printed_and_a_page_is_written(args: tuple[str, ...], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = cli(*args, "--report", str(page))
    assert done.exit_code == 0, done.stderr
    assert f"record  /store/{'comparison' if args[0] == 'compare' else 'aggregate'}.json" in done.stdout
    assert "\x1b" not in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_suggest_needs_no_flow() -> None:
    settings = load_settings()
    key = put_synthetic_month(settings, open_store(settings), 3000, seed=0, month="2016-01")
    done = cli("suggest", key, "--min-samples-values", "10", "20", "--json")
    assert done.exit_code == 0, done.stderr
    found = KDistances.model_validate_json(done.stdout)
    assert found.k == 10
    assert found.eps_values[0] < (found.limit_m or found.knee_m) / 1000 < found.eps_values[-1]
    printed = cli("suggest", key, "--min-samples-values", "10,20").stdout
    assert f"knee at {found.knee_m:.1f} m" in printed
    assert f"--eps-values {' '.join(f'{eps:g}' for eps in found.eps_values)}" in printed


def test_a_report_is_found_by_any_id_and_as_the_latest(tmp_path: Path) -> None:
    settings = load_settings()
    store = open_store(settings)
    page = tmp_path / "page.html"
    assert cli("report", "latest", "-o", str(page)).exit_code == 1
    sweep = a_sweep_record([a_cell(0.1, 5, score=None)])
    for record in (an_experiment_record(), sweep, a_comparison_record(), an_aggregate_record()):
        store.put_bytes(settings.experiments_bucket, record.key, record.model_dump_json().encode())
        for record_id in (record.id, "latest"):
            done = cli("report", record_id, "-o", str(page))
            assert done.exit_code == 0, done.stderr
            assert done.stdout == f"{page}: {record.flow} {record.id}\n"
            assert record.id in page.read_text(encoding="utf-8")
        shown = cli("records", "show", record.id, "--json")
        assert json.loads(shown.stdout)["id"] == record.id


@pytest.mark.parametrize(
    ("words", "expanded"),
    [
        (["-l", "a", "b"], ["-l", "a", "b"]),
        (["--adapters", "a,b", "c", "x.y"], ["--adapters", "a", "--adapters", "b", "--adapters", "c", "x.y"]),
        (["--adapters", "x.y", "--", "a", "b"], ["--adapters", "x.y", "--", "a", "b"]),
        (["--adapters=a,b"], ["--adapters", "a", "--adapters", "b"]),
        (["a", "--adapters"], ["a", "--adapters"]),
    ],
)
def test_a_list_ends_at_what_is_no_value(words: list[str], expanded: list[str]) -> None:
    option = list_option("--adapters", str, "NAME", (), is_names)
    assert isinstance(option, ListOption)
    assert option.expanded(words) == expanded


def test_numbers_and_names_are_told_from_files() -> None:
    assert all(map(is_numbers, ("1", "-0.5", "1,2", "auto", "nan", "1e3")))
    assert not any(map(is_numbers, ("a.parquet", "1.parquet", "--json", "1,b")))
    assert all(map(is_names, ("sklearn", "sklearn,grid")))
    assert not any(map(is_names, ("a.parquet", "folder/file", "--json")))


def test_scripts_take_the_arguments_of_the_guide() -> None:
    script = sweeps_module.sweep_command("run_parameter_sweep.py", click.Option(["--data-object", "data_source"]))
    words = "--data-object x.parquet --eps-values 0.3 0.5 0.7 1.0 --min-samples-values 5 10 15"
    context = script.make_context("sweep", words.split())
    assert context.params["eps_values"] == (0.3, 0.5, 0.7, 1.0)
    assert context.params["min_samples_values"] == (5, 10, 15)
