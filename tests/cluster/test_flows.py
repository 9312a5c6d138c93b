"""Each flow of the guide as a Job: it completes, and its record is the one that the same run leaves on a laptop."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule

from tests.cluster.conftest import MONTHS
from tests.cluster.kube import FLOWS, kubectl, run, wait_until
from tests.cluster.runs import Cluster, job_of

pytestmark = pytest.mark.cluster

SETTING = {"eps": 0.1, "min_samples": 50}
GRID = {"eps_values": [0.1, 0.2], "min_samples_values": [20, 50]}
SAME = ("spec", "settings", "source", "points", "clustering", "quality")
"""What a record says that depends on neither time nor place."""


@pytest.fixture(scope="session")
def laptop(real_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A local store with the same months, and Prefect's embedded server."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop"))
    laptop.flows("data", "put", *(str(real_files / "coords" / name) for name in MONTHS))
    return laptop


class Laptop:
    """The command line without a cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def flows(self, *arguments: str) -> str:
        """Stdout of taxi-flows."""
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        ours = {"TAXI_STORE_DIR": str(self._folder / "store"), "PREFECT_HOME": str(self._folder / "prefect")}
        settings = [f"{name}={value}" for name, value in (keep | ours).items()]
        return run("env", "-i", *settings, sys.executable, "-m", "flows", *arguments)


def same(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in SAME}


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("deployment", "command", "adapter", "cpu_request", "n_jobs"),
    [
        ("experiment_pipeline/default", "run", "sklearn", "250m", 1),
        ("experiment_pipeline/parallel", "run", "sklearn_parallel", "500m", 2),
        ("evaluation_pipeline/default", "evaluate", "sklearn", "250m", 1),
    ],
)
def test_an_experiment_is_the_same_as_on_a_laptop(
    cluster: Cluster,
    months: tuple[str, ...],
    laptop: Laptop,
    deployment: str,
    command: str,
    adapter: str,
    cpu_request: str,
    n_jobs: int,
) -> None:
    run_of = cluster.complete(deployment, {"data_source": months[0], **SETTING})
    (kept,) = cluster.records("experiments", run_of.id)
    here = laptop.flows(
        *(command, months[0], "--adapter-type", adapter, "--json"),
        *("--eps", str(SETTING["eps"]), "--min-samples", str(SETTING["min_samples"])),
    )
    assert same(kept) == same(json.loads(here))
    assert kept["performance"]["n_jobs"] == n_jobs
    job = job_of(run_of.id)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["cpu"] == cpu_request
    assert kept["environment"]["image"] == container["image"]
    assert cluster.store.stat("taxi-experiments", kept["clusters_key"]) is not None
    log = kubectl("logs", "-n", FLOWS, f"job/{job['metadata']['name']}")
    assert "Finished in state Completed" in log
    assert f"{kept['points']['used']:,}" in log, "the result's table is in the log of the Job"


@pytest.mark.smoke
def test_a_sweep_completes(cluster: Cluster, months: tuple[str, ...]) -> None:
    run_of = cluster.complete("parameter_sweep_flow/default", {"data_source": months[0], **GRID})
    (sweep,) = cluster.records("sweeps", run_of.id)
    assert [cell["status"] for cell in sweep["cells"]] == ["ok"] * 4
    children = cluster.children(sweep["id"])
    assert {child.state_name for child in children} == {"Completed"}
    assert {child.parent_task_run_id is not None for child in children} == {True}
    kept = [one for child in children for one in cluster.records("experiments", child.id)]
    assert sorted(one["id"] for one in kept) == sorted(cell["experiment_id"] for cell in sweep["cells"])
    assert {one["sweep_id"] for one in kept} == {sweep["id"]}


@pytest.mark.smoke
def test_a_comparison_completes_and_its_adapters_agree(cluster: Cluster, months: tuple[str, ...]) -> None:
    run_of = cluster.complete("compare_adapters_sweep_flow/default", {"data_source": months[0], **GRID})
    (comparison,) = cluster.records("comparisons", run_of.id)
    assert all(one["equal"] for one in comparison["overall"])


@pytest.mark.smoke
def test_records_are_aggregated(cluster: Cluster, months: tuple[str, ...]) -> None:
    cluster.complete("experiment_pipeline/default", {"data_source": months[0], **SETTING})
    run_of = cluster.complete("aggregate_results_flow/default", {"days": 2})
    (aggregate,) = cluster.records("aggregates", run_of.id)
    assert aggregate["n_records"] >= 1


@pytest.mark.smoke
def test_both_schedules_exist(cluster: Cluster) -> None:
    for flow, cron in (("daily_adapter_comparison_flow", "0 2 * * *"), ("weekly_parameter_sweep_flow", "0 3 * * 1")):
        found = cluster.prefect.read_deployment_by_name(f"{flow}/default")
        (schedule,) = found.schedules
        assert isinstance(schedule.schedule, CronSchedule)
        assert (schedule.schedule.cron, schedule.schedule.timezone, schedule.active) == (cron, "UTC", True)


def test_job_variables_of_a_run_override_the_pool(cluster: Cluster, months: tuple[str, ...]) -> None:
    wanted = {"cpu_request": "100m", "cpu_limit": "1", "memory": "700Mi", "tmp_size": "1Gi"}
    run_of = cluster.complete("experiment_pipeline/parallel", {"data_source": months[0], **SETTING}, wanted)
    spec = job_of(run_of.id)["spec"]
    resources = spec["template"]["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "100m", "memory": "700Mi"}, "limits": {"cpu": "1", "memory": "700Mi"}}
    assert spec["template"]["spec"]["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    (kept,) = cluster.records("experiments", run_of.id)
    assert kept["performance"]["n_jobs"] == 1, "the pool's own limit gives 2"


def test_runs_above_the_pool_s_limit_wait_in_prefect(cluster: Cluster, months: tuple[str, ...]) -> None:
    runs = [cluster.start("experiment_pipeline/parallel", {"data_source": months[0], **SETTING}) for _ in range(3)]

    def most_at_once() -> bool:
        states = [state for one in runs if (state := cluster.prefect.read_flow_run(one.id).state)]
        assert sum(state.is_pending() or state.is_running() for state in states) <= 1, "the pool's limit is 1"
        return all(state.is_final() for state in states)

    wait_until(most_at_once, "three runs, one at a time", 300)
    assert all((state := cluster.prefect.read_flow_run(one.id).state) and state.is_completed() for one in runs)
