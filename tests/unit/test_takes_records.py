"""A store that takes no record is named before any trip is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.core.errors import StoreError
from flows.core.settings import load_settings
from flows.model.parameters import experiment_spec
from flows.records.storage import check_takes_records
from flows.runtime import context as run_module
from flows.runtime.context import open_run
from flows.store import open_store


class NoKernels:
    def __init__(self, load: object) -> None:
        pass


@pytest.fixture
def trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(run_module, "KernelLoading", NoKernels)
    file = tmp_path / "trips.csv"
    file.write_text("pickup_longitude,pickup_latitude\n-73.98,40.75\n")
    return str(file)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXI_STORE_DIR", str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    return tmp_path / "store" / "taxi-experiments"


def test_the_probe_leaves_nothing(bucket: Path) -> None:
    settings = load_settings()
    check_takes_records(open_store(settings), settings)
    assert list(bucket.iterdir()) == []


def test_a_run_is_refused_where_its_record_could_not_be_kept(bucket: Path, trips: str) -> None:
    bucket.touch()  # a file where the folder should be
    spec = experiment_spec(trips, use_minio=False)
    refused = "the store takes no record, so nothing was started: .*taxi-experiments"
    with pytest.raises(StoreError, match=refused), open_run("experiment_pipeline", None, spec, judges=False):
        pytest.fail("the run was begun")
    with open_run("suggest", None, spec, judges=False, records=False) as run:
        assert [file.name for file in run.files] == [trips]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_is_named(bucket: Path, trips: str) -> None:
    bucket.mkdir(mode=0o500)
    spec = experiment_spec(trips, use_minio=False)
    with pytest.raises(StoreError, match="Permission denied"), open_run("x", None, spec, judges=False):
        pytest.fail("the run was begun")


def test_an_aggregate_asks_first(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import aggregate_results

    bucket.touch()
    monkeypatch.setattr(aggregate_results, "load", lambda *_: pytest.fail("records were read"))
    with pytest.raises(StoreError, match="the store takes no record"):
        aggregate_results.aggregate_results_flow.fn(days=1)
