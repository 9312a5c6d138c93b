"""`run` and `evaluate`: checked before work, one record on stdout."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.cli import run as run_module
from flows.core.settings import CityBox, ScoreSettings
from flows.model.metric import Metric
from flows.model.records import ClusterCounts, Environment, ExperimentRecord, Performance, PointCounts, RecordedSettings
from flows.model.spec import ExperimentSpec


class Calls:
    """Stands in for the flow; keeps what it was called with."""

    def __init__(self) -> None:
        self.pipelines: list[str] = []
        self.specs: list[ExperimentSpec] = []
        self.environment: dict[str, str] = {}

    def __call__(self, pipeline: str, spec: ExperimentSpec) -> Outcome:
        self.pipelines.append(pipeline)
        self.specs.append(spec)
        self.environment = {name: value for name, value in os.environ.items() if name.startswith("TAXI_")}
        return Outcome(spec)


class Outcome:
    """What a flow gives back, as far as the command line reads it."""

    def __init__(self, spec: ExperimentSpec) -> None:
        self.record = record(spec)
        self.location = f"/store/{self.record.key}"


def record(spec: ExperimentSpec) -> ExperimentRecord:
    undefined = Metric(value=None, reason="there is no cluster")
    return ExperimentRecord(
        id="e-1",
        flow="experiment_pipeline",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        key="experiments/date=2026-01-02/e-1.json",
        clusters_key="experiments/date=2026-01-02/e-1.clusters.parquet",
        spec=spec,
        settings=RecordedSettings(
            city_box=CityBox(),
            score=ScoreSettings(),
            silhouette_sample=10_000,
            skip_truncated=False,
            allow_mostly_dropped=False,
        ),
        source=(),
        points=PointCounts(rows=3, used=2, unique=2, dropped={"zero": 1}, positions="coordinates"),
        clustering=ClusterCounts(
            n_clusters=0,
            n_core=0,
            n_border=0,
            n_noise=2,
            noise_ratio=Metric(value=1.0),
            largest_cluster_share=undefined,
            one_blob=False,
            sizes=(),
        ),
        quality=None,
        performance=Performance(
            n_jobs=1,
            runtime_seconds=0.1,
            cpu_seconds=0.1,
            points_per_second=Metric(value=20.0),
            peak_memory_bytes=undefined,
        ),
        overall_score=undefined,
        timings={"ingest": 0.1},
        environment=Environment(taxi_flows="0", python="3", platform="x", libraries={}, image=None, flow_run_id=None),
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    stand_in = Calls()
    monkeypatch.setattr(run_module, "run_pipeline", stand_in)
    return stand_in


@pytest.mark.parametrize(("command", "pipeline"), [("run", "experiment_pipeline"), ("evaluate", "evaluation_pipeline")])
def test_options_reach_the_flow(calls: Calls, command: str, pipeline: str) -> None:
    options = "--adapter-type sklearn --eps 0.1 --min-samples 20 --coordinate-type both --no-use-location-ids"
    more = "--max-samples 500 --no-minio --seed 7 --hours 7-10 --weekdays mon-fri --json"
    done = CliRunner().invoke(main, [command, "a.parquet", "b.parquet", *options.split(), *more.split()])
    assert done.exit_code == 0, done.stderr
    assert calls.pipelines == [pipeline]
    assert calls.specs == [
        ExperimentSpec(
            data_source=("a.parquet", "b.parquet"),
            adapter_type="sklearn",
            eps=0.1,
            min_samples=20,
            coordinate_type="both",
            use_location_ids=False,
            max_samples=500,
            use_minio=False,
            seed=7,
            hours="7-10",
            weekdays="mon-fri",
        )
    ]


def test_json_is_the_record_and_nothing_else(calls: Calls) -> None:
    done = CliRunner().invoke(main, ["run", "a.parquet", "--json"])
    assert ExperimentRecord.model_validate_json(done.stdout) == record(calls.specs[0])
    assert json.loads(done.stdout)["points"]["dropped"] == {"zero": 1}


def test_without_json_a_table_names_the_record(calls: Calls) -> None:
    done = CliRunner().invoke(main, ["run", "a.parquet"])
    assert done.exit_code == 0, done.stderr
    assert "record  /store/experiments/date=2026-01-02/e-1.json\n" in done.stdout


def test_options_that_are_settings_hold_for_the_run_only(calls: Calls) -> None:
    CliRunner().invoke(main, ["run", "a.parquet", "--skip-truncated", "--allow-mostly-dropped", "--json"])
    assert calls.environment["TAXI_SKIP_TRUNCATED"] == "true"
    assert calls.environment["TAXI_ALLOW_MOSTLY_DROPPED"] == "true"
    assert "TAXI_SKIP_TRUNCATED" not in os.environ


def test_skip_bad_rows_is_a_setting_for_the_run(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_SKIP_BAD_ROWS", "5")
    for words, expected in (([], "5"), (["--skip-bad-rows", "7"], "7"), (["--skip-bad-rows", "0"], "0")):
        CliRunner().invoke(main, ["run", "a.csv", *words, "--json"])
        assert calls.environment["TAXI_SKIP_BAD_ROWS"] == expected
    for number in ("-1", "many"):
        done = CliRunner().invoke(main, ["run", "a.csv", "--skip-bad-rows", number])
        assert (done.exit_code, "--skip-bad-rows" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--eps 0", "eps is 0.0"),
        ("--eps -1", "eps is -1.0"),
        ("--eps nan", "eps is nan"),
        ("--eps inf", "eps is inf"),
        ("--min-samples 0", "min_samples is 0"),
        ("--max-samples 0", "max_samples is 0"),
        ("--seed -1", "seed is -1"),
        ("--adapter-type quantum", "quantum"),
        ("--coordinate-type middle", "coordinate_type is 'middle'"),
        ("--hours late", "hours is 'late'"),
        ("--weekdays someday", "weekdays is 'someday'"),
        ("--labels labels.csv", ".npy"),
        ("--clusters hulls.shp", ".geojson or .parquet"),
        ("--clusters nowhere/hulls.geojson", "no folder"),
    ],
)
def test_a_bad_parameter_is_refused_before_work(calls: Calls, options: str, named: str) -> None:
    done = CliRunner().invoke(main, ["run", "a.parquet", *options.split()])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert named in done.stderr
    assert calls.specs == []


def test_a_prefect_api_that_is_down_is_named_before_work(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    done = CliRunner().invoke(main, ["run", "a.parquet"])
    assert done.exit_code == 1
    assert "http://127.0.0.1:9/api does not answer" in done.stderr
    assert "PREFECT_API_URL" in done.stderr
    assert calls.specs == []


def test_an_export_that_exists_may_be_replaced(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "labels.npy"
    file.touch()
    run_module.Output(as_json=True, labels=file, clusters=None).check(ExperimentSpec(data_source=("x",)))
