"""A sweep whose cells are flow runs of their own gives what the same sweep gives in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL
from prefect.workers.process import ProcessWorker
from sklearn.metrics import adjusted_rand_score

from flows.core.errors import ParameterError, SourceNotFoundError, SweepFailedError
from flows.core.settings import Settings, load_settings
from flows.model.sweep_parameters import grid_spec
from flows.model.sweeps import ComparisonRecord, GridSpec, SweepRecord
from flows.parameter_sweep import compare_adapters_sweep_flow, parameter_sweep_flow
from flows.records.storage import read_record
from flows.records.sweep_storage import Folder, SweepPlan
from flows.store import ObjectStore, open_store
from flows.sweeps.compare_tasks import compare_kept
from tests.flows.deploying import deploy, empty
from tests.unit.builders import a_cell

MONTH = "yellow_tripdata_2025-09.parquet"
SAMPLE = "coords/yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet"
FEW = 2000
POOLS = ("sequential", "parallel", "coordinator")
OF_ONE_RUN = {"id", "created", "key", "timings", "environment"}
OF_ONE_CELL = {"experiment_id", "performance", "overall_score", "evaluate_seconds"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    """Of a server with all deployments on process pools."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        empty(client)
        for pool in POOLS:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
        done = deploy(tmp_path_factory.mktemp("prefect"), "--all")
        assert done.returncode == 0, done.stdout + done.stderr
        yield client
        empty(client)


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings, shared_data: Path) -> ObjectStore:
    """With a real month's sample under the name of the guide's examples."""
    store = open_store(settings)
    store.put_file(settings.data_bucket, MONTH, shared_data / SAMPLE)
    return store


@pytest.fixture
def _workers(client: SyncPrefectClient, store: ObjectStore, tmp_path: Path) -> Iterator[None]:
    """One for each pool of cells, as a person would start them; they have this test's store."""
    api = PREFECT_API_URL.value()
    assert api is not None
    environment = {
        **os.environ, "PREFECT_API_URL": api, "PREFECT_HOME": str(tmp_path / "prefect"), "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }  # fmt: skip
    log = (tmp_path / "workers.log").open("w")
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool],
            env=environment,
            stdout=log,
            stderr=log,
        )
        for pool in POOLS[:2]
    ]
    yield
    for worker in workers:
        worker.kill()  # all runs have ended by now
        worker.wait()
    log.close()


def children(client: SyncPrefectClient, sweep_id: str) -> list[FlowRun]:
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"sweep:{sweep_id}"])))


def lasting(record: SweepRecord | ComparisonRecord) -> dict[str, Any]:
    """A record but for ids, times, memory and scores that hold times."""
    whole = record.model_dump(exclude=OF_ONE_RUN)
    whole["cells"] = [
        {name: value for name, value in cell.items() if name not in OF_ONE_CELL} for cell in whole["cells"]
    ]
    for name in ("by_cell", "overall"):
        for one in whole.get(name, ()):
            del one["speed_up"], one["memory_ratio"]
    return whole


@pytest.mark.usefixtures("_workers")
@pytest.mark.timeout(420)
def test_a_sweep_is_the_same_in_one_process_and_in_several(
    client: SyncPrefectClient, settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    here = parameter_sweep_flow(MONTH, "grid", "auto", [5, 20], "silhouette", max_samples=FEW)
    monkeypatch.setenv("TAXI_FAN_OUT", "true")
    there = parameter_sweep_flow(MONTH, "grid", "auto", [5, 20], "silhouette", max_samples=FEW, max_parallel=2)
    assert lasting(there.record) == lasting(here.record)
    assert there.record.timings.keys() == here.record.timings.keys()
    assert there.record.environment.libraries == here.record.environment.libraries
    assert "10 of 10 cells" in caplog.text
    assert "10 done, 0 failed, 0 left; best silhouette so far: grid, eps" in caplog.text

    runs = children(client, there.id)
    parent = there.record.environment.flow_run_id
    assert sorted(run.idempotency_key or "" for run in runs) == [
        f"{parent}-0-1",
        f"{parent}-1-1",
        f"{parent}-suggest-1",
    ]
    assert all(run.parent_task_run_id is not None for run in runs), "children show under their parent"
    assert {run.state_name for run in runs} == {"Completed"}
    for cell in there.cells:
        assert read_record(store, settings, cell.experiment_id or "").sweep_id == there.id


@pytest.mark.usefixtures("_workers")
@pytest.mark.timeout(420)
def test_a_comparison_is_the_same_in_one_process_and_in_several(
    client: SyncPrefectClient, settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = compare_adapters_sweep_flow(MONTH, [0.1, 0.2], [5], ["sklearn", "grid"], max_samples=FEW)
    monkeypatch.setenv("TAXI_FAN_OUT", "true")
    monkeypatch.setenv("TAXI_CELLS__MEMORY", "3Gi")
    there = compare_adapters_sweep_flow(MONTH, [0.1, 0.2], [5], ["sklearn", "grid"], max_samples=FEW, max_parallel=2)
    assert lasting(there.record) == lasting(here.record)
    assert [one.equal for one in there.record.by_cell] == [True, True]
    runs = children(client, there.id)
    assert {run.work_pool_name: run.parameters["chunk"] for run in runs} == {"sequential": 0, "parallel": 1}
    assert [run.job_variables for run in runs] == [{"memory": "3Gi"}] * 2
    labels = [found for found in store.list(settings.experiments_bucket, "comparisons/") if "/labels/" in found.key]
    assert len(labels) == 4


def test_labels_that_differ_are_read_and_equal_ones_are_not(settings: Settings) -> None:
    store = open_store(settings)
    grid = grid_spec(MONTH, ["sklearn", "grid"], [0.1, 0.2], [5])
    assert isinstance(grid, GridSpec)
    plan = SweepPlan(id="20260131T020304Z-ab12cd34", kind="comparisons", spec=grid, suggestion=None, sha256s=("0f",))
    one, two = np.array([0, 0, 1, -1, 1]), np.array([0, 1, 1, -1, 1])
    weights = np.array([1, 4, 2, 1, 3])
    folder = Folder(store, settings, "comparisons", plan.id)
    folder.keep_labels(1, one, weights)
    folder.keep_labels(3, two, weights)
    digests = ("same", "one", "same", "two")
    cells = tuple(
        a_cell(eps, 5, adapter=adapter).model_copy(update={"labels_sha256": digest})
        for (adapter, eps), digest in zip(
            [(adapter, eps) for adapter in grid.adapters for eps in grid.eps_values], digests, strict=True
        )
    )
    equal, other = compare_kept(store, settings, plan, cells, n_unique=5).by_cell
    assert (equal.equal, equal.adjusted_rand.value) == (True, 1.0)
    assert other.equal is False
    expected = adjusted_rand_score(np.repeat(one, weights), np.repeat(two, weights))
    assert other.adjusted_rand.value == pytest.approx(expected, abs=1e-15)


@pytest.mark.usefixtures("_workers")
@pytest.mark.timeout(420)
def test_a_chunk_that_breaks_twice_fails_the_sweep_with_its_reason(
    client: SyncPrefectClient, settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_FAN_OUT", "true")
    store.put_bytes(settings.data_bucket, "broken.parquet", b"no parquet")
    with pytest.raises(SweepFailedError, match=r"nothing is recorded: flow run .*-0-2 \(attempt 2\) ended Failed"):
        parameter_sweep_flow("broken.parquet", eps_values=[0.1], min_samples_values=[5])


@pytest.mark.usefixtures("client", "store")
def test_what_can_not_be_found_elsewhere_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    monkeypatch.setenv("TAXI_FAN_OUT", "true")
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        parameter_sweep_flow("nowhere.parquet")
    with pytest.raises(ParameterError, match="have not this one's files"):
        parameter_sweep_flow(str(shared_data / SAMPLE), use_minio=False)
    with pytest.raises(ParameterError, match="max_parallel is 0"):
        parameter_sweep_flow(MONTH, max_parallel=0)
