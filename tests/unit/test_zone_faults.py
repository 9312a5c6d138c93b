"""A zone table that can't be read fails only what needs it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows import tasks
from flows.cli import main
from flows.core.errors import ZoneTableError
from flows.core.progress import NO_PROGRESS
from flows.core.settings import load_settings
from flows.datasets.sources import zone_table_or_fault
from flows.model.points import Kind, TripSource
from flows.model.spec import ExperimentSpec
from flows.report.gather import gather
from flows.runtime.context import KernelLoading, Run
from flows.store import open_store
from tests.unit.builders import a_sweep_record
from tests.unit.experiments import no_batches

COORDINATES = "pickup_longitude,pickup_latitude\n-73.98,40.75\n"
ZONES = "PULocationID,DOLocationID\n161,237\n"


@pytest.fixture
def bad_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "zones.zip"
    path.write_bytes(b"<html>")
    monkeypatch.setenv("TAXI_ZONE_TABLE", str(path))
    return path


def run() -> Run:
    settings = load_settings()
    store = open_store(settings)
    zones, fault = zone_table_or_fault(settings, store)
    spec = ExperimentSpec(data_source=("a.csv",), adapter_type="sklearn")
    kernels = KernelLoading(lambda: None)
    return Run("f", None, spec, settings, store, (), zones, 1, NO_PROGRESS, kernels, fault)


@pytest.mark.usefixtures("bad_table")
def test_only_a_run_without_coordinates_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def source(kind: Kind) -> None:
        found = TripSource(files=(), dialects=(), kind=kind, n_rows=None, batches=no_batches)
        monkeypatch.setattr("flows.steps.ingest.open_source", lambda *_: found)

    source("coordinates")
    assert tasks.ingest.fn(run()).kind == "coordinates"
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert "zones.zip can't be read" in caplog.text
    source("zones")
    with pytest.raises(ZoneTableError, match=r"zones\.zip can't be read"):
        tasks.ingest.fn(run())


@pytest.mark.usefixtures("bad_table")
def test_a_report_goes_without_outlines(caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings()
    record = a_sweep_record().model_copy(update={"best": None})
    assert gather(record, open_store(settings), settings).zones is None
    assert "the map has no outlines of zones" in caplog.text


@pytest.mark.usefixtures("bad_table")
@pytest.mark.parametrize(("text", "exit_code"), [(COORDINATES, 0), (ZONES, 1)])
def test_only_a_file_without_coordinates_can_not_be_described(tmp_path: Path, text: str, exit_code: int) -> None:
    file = tmp_path / "trips.csv"
    file.write_text(text)
    done = CliRunner().invoke(main, ["data", "check", str(file)])
    assert done.exit_code == exit_code, done.output
    assert ("zones.zip can't be read" in done.output) is (exit_code == 1)
