"""Which runs push: the one that somebody started, and no run inside it; what fails is told in the run's log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from flows.datasets.synthetic import write_synthetic_month
from flows.experiment_pipeline import experiment_pipeline
from flows.parameter_sweep import compare_adapters_sweep_flow, parameter_sweep_flow
from flows.telemetry import metrics
from tests.unit.gateway import Gateway, a_gateway

JOB = "/metrics/job/taxi_flows"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with a_gateway() as stub:
        monkeypatch.setenv("PUSHGATEWAY_URL", stub.url)
        yield stub


@pytest.fixture
def month(tmp_path: Path) -> str:
    path = tmp_path / "yellow_tripdata_2025-09.parquet"
    write_synthetic_month(path, rows=3000)
    return str(path)


def test_a_run_that_somebody_started_pushes(month: str, gateway: Gateway) -> None:
    record = experiment_pipeline(month, eps=0.1, use_minio=False).record
    ((path, pushed),) = gateway.groups.items()
    assert path == f"{JOB}/adapter/sklearn/flow/experiment_pipeline"
    assert pushed[metrics.CLUSTERS.name, ()] == record.clustering.n_clusters
    assert pushed[metrics.EPS.name, ()] == 100


def test_cells_and_adapters(month: str, gateway: Gateway) -> None:
    parameter_sweep_flow(month, eps_values=[0.1, 0.2], min_samples_values=[5], use_minio=False)
    compare_adapters_sweep_flow(month, eps_values=[0.1], min_samples_values=[5], use_minio=False)
    assert set(gateway.groups) == {
        f"{JOB}/adapter/sklearn/flow/parameter_sweep_flow",
        f"{JOB}/adapter/sklearn/flow/compare_adapters_sweep_flow",
        f"{JOB}/adapter/sklearn_parallel/flow/compare_adapters_sweep_flow",
    }


def test_a_run_inside_another_does_not_push(month: str, gateway: Gateway) -> None:
    @flow
    def rush_hours() -> None:
        experiment_pipeline(month, eps=0.1, use_minio=False)

    rush_hours()
    assert gateway.groups == {}


def test_a_push_that_fails_is_told_in_the_log_of_a_run_that_succeeds(
    month: str, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.status = 503
    state = experiment_pipeline(month, eps=0.1, use_minio=False, return_state=True)
    assert state.is_completed()
    (warning,) = [one for one in caplog.records if "PUSHGATEWAY_URL" in one.getMessage()]
    assert (warning.levelname, warning.name) == ("WARNING", "prefect.flow_runs")
    assert "503" in warning.getMessage()
