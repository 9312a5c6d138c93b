"""The command line from a month in the store to its record, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from prefect.settings import PREFECT_API_URL
from sklearn.metrics import adjusted_rand_score

from flows.cli import main
from flows.core.settings import load_settings
from flows.datasets.synthetic import put_synthetic_month, write_synthetic_month
from flows.evaluation_flows import evaluation_pipeline
from flows.model.records import ExperimentRecord
from flows.store import open_store
from tests.conftest import REPOSITORY

MONTH = "synthetic_yellow_tripdata_2016-01.parquet"


def environment() -> dict[str, str]:
    return {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}


def python(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def taxi_flows(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return python("-m", "flows", *args)


def in_process(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def put_month(rows: int) -> None:
    settings = load_settings()
    assert put_synthetic_month(settings, open_store(settings), rows, seed=0, month="2016-01") == MONTH


def test_a_month_becomes_a_record(tmp_path: Path) -> None:
    put_month(5000)
    labels_file, clusters_file = tmp_path / "labels.npy", tmp_path / "hot_spots.geojson"
    done = taxi_flows(
        *("evaluate", MONTH, "--eps", "0.1", "--min-samples", "20", "--coordinate-type", "both", "--json"),
        *("--labels", labels_file, "--clusters", clusters_file),
    )
    assert done.returncode == 0, done.stderr
    record = ExperimentRecord.model_validate_json(done.stdout)
    assert record.flow == "evaluation_pipeline"
    assert record.clustering.n_clusters > 5
    assert record.overall_score.value is not None
    assert set(record.timings) >= {"ingest", "prepare", "cluster", "evaluate", "record"}

    labels = np.load(labels_file)
    assert labels.dtype == np.dtype([("row", "<i8"), ("end", "u1"), ("label", "<i8")])
    assert len(labels) == record.points.used
    assert labels["label"].max() + 1 == record.clustering.n_clusters
    assert len(json.loads(clusters_file.read_text())["features"]) >= record.clustering.n_clusters

    shown = in_process("records", "show", record.id, "--json")
    assert ExperimentRecord.model_validate_json(shown.stdout) == record
    [listed] = json.loads(in_process("records", "ls", "--json").stdout)
    assert listed["id"] == record.id
    assert record.id in in_process("records", "ls").stdout


def test_a_table_stands_on_stdout_without_colours_in_a_pipe() -> None:
    put_month(1000)
    done = in_process("run", MONTH, "--max-samples", "500")
    assert done.exit_code == 0, done.stderr
    assert "experiments/date=" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Prefect" not in done.stdout


def test_a_refusal_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_synthetic_month(tmp_path / MONTH, rows=10)
    done = taxi_flows("run", MONTH)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--no-minio" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_the_script_of_the_guide_runs(shared_data: Path) -> None:
    trips = shared_data / "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv"
    script = REPOSITORY / "scripts" / "run_experiment.py"
    options = ("--adapter-type", "sklearn", "--eps", "0.5", "--min-samples", "5", "--no-minio", "--json")
    done = python(script, "--data-object", trips, *options)
    assert done.returncode == 0, done.stderr
    record = ExperimentRecord.model_validate_json(done.stdout)
    assert (record.flow, record.points.rows, record.points.used) == ("experiment_pipeline", 1999, 1963)


def test_the_quick_start_says_where_to_look_next() -> None:
    done = python(REPOSITORY / "scripts" / "quick_start_prefect.py", "--rows", "3000")
    assert done.returncode == 0, done.stderr
    assert "taxi-flows records show" in done.stdout
    assert "made up" in done.stdout


def test_the_example_finds_hot_spots_by_hour() -> None:
    put_month(5000)
    done = python(REPOSITORY / "examples" / "hot_spots_by_hour.py", MONTH)
    assert done.returncode == 0, done.stderr
    assert "hours='7-10'" in done.stderr


def test_ctrl_c_is_a_clean_end(tmp_path: Path) -> None:
    """The signal comes while the files are looked at."""
    write_synthetic_month(tmp_path / MONTH, rows=2000)
    program = f"""
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from flows.cli import main
from flows.steps import ingest
def interrupt(*_): os.kill(os.getpid(), signal.SIGINT); time.sleep(20)
ingest.read_layout = interrupt
main(["run", "--no-minio", {str(tmp_path / MONTH)!r}])
"""
    done = python("-c", program)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr.strip() == "Stopped by Ctrl-C."
    assert done.stdout == ""


def test_labels_of_two_records_are_compared_by_clustering_again() -> None:
    put_month(3000)
    found = [evaluation_pipeline(MONTH, eps=eps, min_samples=10) for eps in (0.05, 0.1)]
    expected = adjusted_rand_score(*(result.labels()["label"] for result in found))
    ids = [result.id for result in found]
    done = in_process("records", "diff", *ids, "--json")
    assert json.loads(done.stdout)["adjusted_rand"] == pytest.approx(expected)
    settings = load_settings()
    put_synthetic_month(settings, open_store(settings), 3000, seed=1, month="2016-01")
    assert "holds other bytes" in in_process("records", "diff", *ids).stdout
