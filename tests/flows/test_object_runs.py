"""Flow runs of objects on a Prefect server: one for each object, and none of another namespace's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import AwaitingRetry, Failed

from flows.core.errors import ObjectError, RunRefusedError
from flows.experiment_pipeline import experiment_pipeline
from flows.model.outcome import KEY, Outcome
from flows.operator.faults import Faults
from flows.operator.resources.runs import FlowRuns
from flows.operator.resources.schema import ExperimentSpecification
from tests.flows.deploying import empty

EXPERIMENT = ExperimentSpecification(data_source="a.parquet", evaluate=False)


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        empty(client)
        flow_id = client.create_flow(experiment_pipeline)
        client.create_deployment(flow_id=flow_id, name="default", entrypoint="flows:experiment_pipeline")
        yield client
        empty(client)


def test_an_object_has_one_run_however_often_it_is_started(client: SyncPrefectClient) -> None:
    uid = str(uuid4())
    first = FlowRuns(client, "taxi-flows", Faults()).start(EXPERIMENT, "one", uid)
    assert FlowRuns(client, "taxi-flows", Faults()).start(EXPERIMENT, "one", uid).id == first.id
    assert FlowRuns(client, "taxi-flows", Faults()).under_way()[uid].id == first.id


def test_runs_of_another_namespace_are_not_seen_and_so_never_cancelled(client: SyncPrefectClient) -> None:
    ours, theirs = FlowRuns(client, "taxi-flows", Faults()), FlowRuns(client, "other", Faults())
    ours_uid, theirs_uid = str(uuid4()), str(uuid4())
    ours.start(EXPERIMENT, "same", ours_uid)
    theirs.start(EXPERIMENT, "same", theirs_uid)
    assert ours_uid in ours.under_way()
    assert theirs_uid not in ours.under_way()
    assert list(theirs.under_way()) == [theirs_uid]


def test_a_run_that_is_retried_as_the_ui_does_is_under_way_again(client: SyncPrefectClient) -> None:
    flow_runs, uid = FlowRuns(client, "taxi-flows", Faults()), str(uuid4())
    run = flow_runs.start(EXPERIMENT, "retried", uid)
    client.set_flow_run_state(UUID(run.id), Failed(), force=True)
    assert uid not in flow_runs.under_way()
    client.set_flow_run_state(UUID(run.id), AwaitingRetry())
    assert flow_runs.under_way()[uid].id == run.id
    assert flow_runs.by_id([run.id])[run.id].phase == "Pending"


def test_the_runs_that_another_one_has_started_are_known(client: SyncPrefectClient) -> None:
    flow_runs = FlowRuns(client, "taxi-flows", Faults())
    parent, stranger = (flow_runs.start(EXPERIMENT, name, str(uuid4())) for name in ("parent", "stranger"))
    cell = client.create_task_run(a_cell, UUID(parent.id), dynamic_key="0")
    deployment = client.read_deployment_by_name("experiment_pipeline/default")
    child = client.create_flow_run_from_deployment(deployment.id, parent_task_run_id=cell.id)
    assert [one.id for one in flow_runs.children(parent.id, [str(child.id), stranger.id])] == [str(child.id)]
    assert flow_runs.children(parent.id, [stranger.id]) == flow_runs.children(parent.id, []) == []


@task
def a_cell() -> None:
    """Starts a flow run."""


def test_a_cancelled_run_is_told_as_it_is(client: SyncPrefectClient) -> None:
    flow_runs, uid = FlowRuns(client, "taxi-flows", Faults()), str(uuid4())
    run = flow_runs.start(EXPERIMENT, "gone", uid)
    flow_runs.cancel(run.id)
    assert flow_runs.by_id([run.id])[run.id].state in {"cancelling", "cancelled"}


def test_a_run_that_the_server_does_not_take_is_told_with_its_words(client: SyncPrefectClient) -> None:
    client.create_deployment(
        flow_id=client.create_flow(experiment_pipeline),
        name="default",
        entrypoint="flows:experiment_pipeline",
        enforce_parameter_schema=True,
        parameter_openapi_schema={"type": "object", "properties": {"eps": {"type": "string"}}},
    )
    with pytest.raises(RunRefusedError, match="eps"):
        FlowRuns(client, "taxi-flows", Faults()).start(EXPERIMENT, "refused", str(uuid4()))


def test_what_is_no_outcome_is_left_out(client: SyncPrefectClient, caplog: pytest.LogCaptureFixture) -> None:
    flow_runs = FlowRuns(client, "taxi-flows", Faults())
    good, bad = (flow_runs.start(EXPERIMENT, name, str(uuid4())) for name in ("good", "bad"))
    for run, data in ((good, [{"clusters": 3}]), (bad, [{"clusters": "many"}])):
        artifact = {"key": f"{run.id}-{KEY}", "type": "table", "data": json.dumps(data), "flow_run_id": run.id}
        client.request("POST", "/artifacts/", json=artifact).raise_for_status()
    assert flow_runs.outcomes([good.id, bad.id]) == {good.id: Outcome(clusters=3)}
    assert "is no outcome" in caplog.text


def test_without_a_deployment_there_is_no_run(client: SyncPrefectClient) -> None:
    with pytest.raises(ObjectError, match="evaluation_pipeline/default"):
        FlowRuns(client, "taxi-flows", Faults()).start(ExperimentSpecification(data_source="a"), "none", str(uuid4()))
