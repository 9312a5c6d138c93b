"""`sklearn_parallel` on Dask workers: the labels of the in-process run, from processes of their own."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points, metadata
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster, get_task_stream

from flows.adapters.protocol import Fit
from flows.adapters.sklearn_parallel import SklearnParallelAdapter
from flows.core.errors import DaskError, SettingsError

EPS_M, MIN_SAMPLES = 120.0, 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as running:
        yield running


def fit(n: int = 6_000) -> Fit:
    """About thirty tiles of a made-up city with hot spots and noise."""
    random = np.random.default_rng(20)
    spots = random.uniform(0, 10_000, (20, 2))[random.integers(0, 20, n)]
    points_m = np.unique(np.round((spots + random.normal(scale=200, size=(n, 2))) * 1024) / 1024, axis=0)
    weights = random.integers(1, 4, len(points_m))
    return SklearnParallelAdapter(tile_points=200).fit(points_m, weights, EPS_M, MIN_SAMPLES, n_jobs=2)


def test_labels_equal_the_in_process_ones_and_both_workers_took_part(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fit()
    assert here.labels.max() > 3
    monkeypatch.setenv("TAXI_DASK_SCHEDULER", cluster.scheduler_address)
    with Client(cluster.scheduler_address, set_as_default=False) as watcher, get_task_stream(watcher) as stream:
        there = fit()
    np.testing.assert_array_equal(there.labels, here.labels)
    np.testing.assert_array_equal(there.core, here.core)
    assert {task["worker"] for task in stream.data} == {worker.worker_address for worker in cluster.workers.values()}
    assert len(stream.data) > 2 * 10


def test_a_single_tile_asks_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_DASK_SCHEDULER", "tcp://127.0.0.1:1")
    assert len(fit(150).labels) > 0


def test_a_scheduler_without_workers_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        monkeypatch.setenv("TAXI_DASK_SCHEDULER", empty.scheduler_address)
        with pytest.raises(DaskError, match=f"{empty.scheduler_address}.* has no workers.*dask worker"):
            fit()


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.adapters.workers._CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("TAXI_DASK_SCHEDULER", address)
    with pytest.raises(DaskError, match=f"no Dask scheduler answers at TAXI_DASK_SCHEDULER='{address}'"):
        fit()


def test_without_dask_installed_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("TAXI_DASK_SCHEDULER", "tcp://127.0.0.1:8786")
    with pytest.raises(SettingsError, match=r"pip install 'taxi-flows\[dask\]'"):
        fit()


def test_the_guides_commands_are_there() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^\$ dask (\w+)", guide, re.MULTILINE))
    assert found == {"scheduler", "worker"}
    assert found <= {entry.name for entry in entry_points(group="dask_cli")}
    assert "dask" in re.findall(r"^\$ pip install 'taxi-flows\[(\w+)\]'", guide, re.MULTILINE)
    assert "dask" in (metadata("taxi-flows").get_all("Provides-Extra") or [])
