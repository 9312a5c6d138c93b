"""A flow run whose pod goes again and again ends as Crashed, with the reason."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import Flow, task_engine
from prefect.client.orchestration import get_client
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.aggregate_results import aggregate_results_flow
from flows.core.errors import TaxiFlowsError
from flows.evaluation_flows import evaluation_pipeline
from flows.experiment_pipeline import experiment_pipeline
from flows.parameter_sweep import compare_adapters_sweep_flow, parameter_sweep_flow
from flows.runtime.restarts import MOST_STARTS, RestartedTooOften
from flows.sweep_cells import sweep_cells_flow

EACH: list[tuple[Flow[..., Any], dict[str, Any], bool]] = [
    (experiment_pipeline, {"data_source": "nowhere.parquet"}, False),
    (evaluation_pipeline, {"data_source": "nowhere.parquet"}, False),
    (parameter_sweep_flow, {"data_source": "nowhere.parquet"}, False),
    (parameter_sweep_flow, {"data_source": "nowhere.parquet"}, True),
    (compare_adapters_sweep_flow, {"data_source": "nowhere.parquet"}, True),
    (sweep_cells_flow, {"kind": "sweeps", "sweep_id": "20260131T020304Z-ab12cd34", "chunk": 0}, False),
    (aggregate_results_flow, {}, False),
]


@pytest.mark.parametrize(("flow", "parameters", "fans_out"), EACH, ids=lambda one: getattr(one, "name", ""))
def test_a_run_may_be_started_three_times(
    flow: Flow[..., Any], parameters: dict[str, Any], fans_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_FAN_OUT", str(fans_out))
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flow, parameters=parameters)

        def start(error: type[BaseException], matching: str) -> None:
            client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
            with pytest.raises(error, match=matching):
                run_flow(flow, flow_run=client.read_flow_run(run.id), parameters=parameters)

        for _ in range(MOST_STARTS):
            start(TaxiFlowsError, "nowhere|has no chunk|no experiments|no record")
        start(RestartedTooOften, "this is start 4 of the flow run, 3 are allowed")
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_crashed()
    assert "deleted or evicted again and again" in (state.message or "")


@pytest.fixture
def _outlives_sigterm() -> Iterator[None]:
    """Prefect sends itself the signal again once it has taken note of it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_outlives_sigterm")
def test_a_pod_that_goes_while_prefect_makes_a_task_run_does_not_fail_its_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise TerminationSignal(signal.SIGTERM)

    monkeypatch.setattr(task_engine, "_create_task_run_locally", interrupted)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(aggregate_results_flow)
        with pytest.raises(TerminationSignal):
            run_flow(aggregate_results_flow, flow_run=run)
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert not state.is_failed()
