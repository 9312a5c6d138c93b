"""What breaks around the runs: Prefect, its database, the object store, telemetry. Runs go on, or fail clearly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule

from flows.core.errors import StoreError
from flows.store import ObjectStore
from tests.cluster.conftest import connected, put_months, root_of_minio
from tests.cluster.faults import (
    BOUND_SECONDS,
    EXPERIMENT,
    GRID,
    LONG_GRID,
    SETTING,
    SWEEP,
    Outcome,
    away,
    children_of,
    final_state,
    fires,
    one_sweep_is_kept,
    outage,
    until_a_child_runs,
)
from tests.cluster.kube import PLATFORM, apply, frozen, get, kubectl, wait_until
from tests.cluster.runs import LOG_SECONDS, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("repetition")]

GOES_ON = "runs go on and complete"
REPEATED_CALLS = "repeated calls, five minutes"
MINIO = "statefulset/minio"
OUTAGE_SECONDS = 60


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            "deployment/prefect-server",
            marks=pytest.mark.fault("Prefect's server restarts in a sweep", GOES_ON, REPEATED_CALLS),
        ),
        pytest.param(
            "statefulset/postgresql",
            marks=pytest.mark.fault("Postgres restarts in a sweep", GOES_ON, REPEATED_CALLS),
        ),
    ],
)
def test_a_sweep_outlives_a_restart_of_prefect(
    cluster: Cluster, months: tuple[str, ...], environment: Mapping[str, str], outcome: Outcome, part: str
) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **GRID})
    wait_until(lambda: children_of(cluster, started.id), "a child", 120)
    outcome.strikes()
    kubectl("rollout", "restart", part, "-n", PLATFORM)
    kubectl("rollout", "status", part, "-n", PLATFORM, "--timeout=180s")
    assert ended(started.id) == "COMPLETED"
    outcome.ends()
    with connected(environment) as again:
        one_sweep_is_kept(again, started.id, 16)


def ended(run_id: UUID) -> str:
    """Wait for the final state by a new connection each time."""
    return wait_until(lambda: final_state(run_id), f"the end of {run_id}", BOUND_SECONDS, 3)


@pytest.mark.fault(
    "Prefect away over a schedule's time", "the run starts once Prefect is back, once", "runs are made ahead"
)
def test_a_schedule_is_caught_up_once(
    cluster: Cluster,
    months: tuple[str, ...],
    environment: Mapping[str, str],
    by_hand: dict[str, str],
    outcome: Outcome,
) -> None:
    with frozen(by_hand, f"deployment/{EXPERIMENT}"):
        is_caught_up_once(cluster, months[0], environment, outcome)


def is_caught_up_once(cluster: Cluster, month: str, environment: Mapping[str, str], outcome: Outcome) -> None:
    deployment = cluster.prefect.read_deployment_by_name(EXPERIMENT)
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=100)
    daily = IntervalSchedule(interval=timedelta(days=1), anchor_date=at)
    schedule = DeploymentScheduleCreate(schedule=daily, active=True, parameters={"data_source": month, **SETTING})
    (added,) = cluster.prefect.create_deployment_schedules(deployment.id, [schedule])
    due = wait_until(lambda: runs_at(cluster, deployment.id, at), "the scheduled run", 90)
    assert len(due) == 1
    with away("deployment/prefect-server"):
        outage((at - datetime.now(UTC)).total_seconds() + 20)
        outcome.strikes()
    assert ended(due[0].id) == "COMPLETED"
    outcome.ends()
    with connected(environment) as again:
        again.prefect.delete_deployment_schedule(deployment.id, added.id)
        (only,) = runs_at(again, deployment.id, at)
        assert only.run_count == 1
        assert len(again.records("experiments", only.id)) == 1
        started = [one for one in runs_of(again, deployment.id) if one.start_time and one.start_time >= at]
        assert [one.id for one in started] == [only.id], "nothing else was started to catch up"


def runs_of(cluster: Cluster, deployment_id: UUID) -> list[FlowRun]:
    """The newest flow runs of a deployment."""
    of_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    return cluster.prefect.read_flow_runs(deployment_filter=of_deployment)


def runs_at(cluster: Cluster, deployment_id: UUID, at: datetime) -> list[FlowRun]:
    """Those that a schedule made for a time."""
    return [one for one in runs_of(cluster, deployment_id) if one.auto_scheduled and one.expected_start_time == at]


@pytest.mark.fault("Pushgateway away", f"{GOES_ON}; PushgatewayDown after 5 min", "a push that fails is a warning")
def test_a_run_completes_without_the_pushgateway(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    with away("statefulset/prometheus-pushgateway"):
        outcome.strikes()
        done = cluster.complete(EXPERIMENT, {"data_source": months[0], **SETTING})
        outcome.ends()
        fires("PushgatewayDown", "pending")
    assert len(cluster.records("experiments", done.id)) == 1


@pytest.mark.fault("Prometheus away", GOES_ON, "nothing of a run asks it")
def test_a_run_completes_without_prometheus(cluster: Cluster, months: tuple[str, ...], outcome: Outcome) -> None:
    with away("statefulset/prometheus-server"):
        outcome.strikes()
        done = cluster.complete(EXPERIMENT, {"data_source": months[0], **SETTING})
        outcome.ends()
    assert len(cluster.records("experiments", done.id)) == 1


@pytest.mark.fault("MinIO away for a minute at a read", "the run waits and completes", "ten tries in 80 s, then Failed")
def test_a_read_waits_for_the_store(
    cluster: Cluster, months: tuple[str, ...], environment: Mapping[str, str], outcome: Outcome
) -> None:
    with away(MINIO):
        started = cluster.start(EXPERIMENT, {"data_source": months[0], **SETTING})
        cluster.await_log(started.id, WAITS, 120)
        outcome.strikes()
        outage(OUTAGE_SECONDS)
    done = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert done.state is not None
    assert done.state.is_completed(), done.state
    with connected(environment) as again:
        assert len(again.records("experiments", started.id)) == 1


WAITS = "the object store does not answer"


@pytest.mark.fault(
    "MinIO away for a minute at writes", "the sweep waits and completes", "ten tries in 80 s, then Failed"
)
def test_writes_wait_for_the_store(
    cluster: Cluster, months: tuple[str, ...], environment: Mapping[str, str], outcome: Outcome
) -> None:
    started = cluster.start(SWEEP, {"data_source": months[0], **LONG_GRID})
    until_a_child_runs(cluster, started.id)
    wait_until(
        lambda: any(cluster.records("experiments", one.id) for one in children_of(cluster, started.id)), "a record", 120
    )
    outcome.strikes()
    with away(MINIO):
        outage(OUTAGE_SECONDS)
    done = cluster.finish(started.id, BOUND_SECONDS)
    outcome.ends()
    assert done.state is not None
    assert done.state.is_completed(), done.state
    children = children_of(cluster, started.id)
    wait_until(lambda: any(WAITS in cluster.log(one.id) for one in children), "a write met the outage", LOG_SECONDS)
    with connected(environment) as again:
        one_sweep_is_kept(again, started.id, 120)


@pytest.mark.fault(
    "MinIO full", "Failed with that reason, nothing half-written; VolumeFillingUp after 15 min", "one try"
)
def test_a_full_store_fails_the_run_and_keeps_nothing_of_it(
    environment: Mapping[str, str], real_files: Path, outcome: Outcome
) -> None:
    with small_store(), ExitStack() as connections:
        with connected(environment) as small:
            data_source = put_months(small.store, real_files)[0]
            fill(small.store)
        small = connections.enter_context(connected(environment))  # what breaks off may take the old one with it
        outcome.strikes()
        failed = small.finish(small.start(EXPERIMENT, {"data_source": data_source, **SETTING}).id)
        outcome.ends()
        assert failed.state is not None
        assert failed.state.is_failed()
        assert "the store is full" in (failed.state.message or "")
        assert list(small.store.list("taxi-experiments", "")) == []
        fires("VolumeFillingUp", "pending")
        with root_of_minio() as root:  # what others delete stays as an old version
            for one in root.list_objects("taxi-data", "junk/", recursive=True, include_version=True):
                root.remove_object("taxi-data", str(one.object_name), version_id=one.version_id)
        done = small.complete(EXPERIMENT, {"data_source": data_source, **SETTING})
        assert len(small.records("experiments", done.id)) == 1


@contextmanager
def small_store() -> Iterator[None]:
    """MinIO with its data on 64 MiB of memory in place of its volume, set up by the Job of its chart."""
    server, setup = (get(PLATFORM, kind, name) for kind, name in (("statefulset", "minio"), ("job", "minio-setup")))
    spec = server["spec"]["template"]["spec"]
    data = {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    labels = server["spec"]["template"]["metadata"]["labels"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "minio-small", "namespace": PLATFORM, "labels": labels},
        "spec": {**spec, "volumes": [*spec["volumes"], data]},
    }
    own = {
        key: value for key, value in setup["spec"]["template"]["metadata"]["labels"].items() if key.startswith("app.")
    }
    template = {"metadata": {"labels": own}, "spec": setup["spec"]["template"]["spec"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "minio-small-setup", "namespace": PLATFORM},
        "spec": {"backoffLimit": 2, "template": template},
    }
    with away(MINIO):
        kubectl("wait", "--for=delete", "pod/minio-0", "-n", PLATFORM, "--timeout=120s")
        try:
            apply(pod, job)
            kubectl("wait", "--for=condition=Complete", "job/minio-small-setup", "-n", PLATFORM, "--timeout=180s")
            yield
        finally:
            kubectl("delete", "pod/minio-small", "job/minio-small-setup", "-n", PLATFORM, "--ignore-not-found")


def fill(store: ObjectStore) -> None:
    """Put objects until not even a small one is taken. An object that just does not fit may break off."""
    n_put = 0
    refusal = ""
    for size_bytes in (4 << 20, 256 << 10, 16 << 10):
        refusal = ""
        while not refusal:
            try:
                store.put_bytes("taxi-data", f"junk/{n_put}", os.urandom(size_bytes))
                n_put += 1
            except StoreError as error:
                refusal = str(error)
    assert "the store is full" in refusal
