"""What Prometheus knows of flow runs on the cluster, and the alerts that come of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running

from flows.telemetry import metrics
from scripts.telemetry.alerts import ALERTS
from tests.cluster.kube import FLOWS, PLATFORM, get, kubectl, wait_until
from tests.cluster.prometheus import Sample, alerts, query, total
from tests.cluster.runs import Cluster, delete_job, flow_run_state, nowhere, pod_of
from tests.promql import EXPRESSIONS, selectors_of, without_variables

pytestmark = pytest.mark.cluster

SETTING = {"eps": 0.1, "min_samples": 50}
DAILY = "daily_adapter_comparison_flow"
SEEN_SECONDS = 45
"""Time until a run that ended is in Prometheus."""


def counted(flow: str, deployment: str, status: str) -> float:
    labels = f'flow_name="{flow}",deployment="{deployment}",status="{status}"'
    return total(f"prefect_flow_runs_total{{{labels}}}")


@pytest.mark.smoke
@pytest.mark.usefixtures("stack")
def test_prometheus_reaches_every_target_but_the_placeholder() -> None:
    """Grafana's placeholder on the test cluster has no metrics of its own."""
    wanted = {"prometheus", "pushgateway", "exporter", "prefect-server", "minio"}

    def up() -> bool:
        return {one.labels["job"] for one in query("up == 1")} >= wanted

    wait_until(up, f"answers of {', '.join(sorted(wanted))}", 90, every_seconds=5)


@pytest.mark.smoke
@pytest.mark.usefixtures("stack")
def test_every_status_of_every_deployment_is_there_from_the_start(cluster: Cluster) -> None:
    wait_until(lambda: query("prefect_flow_runs_total"), "the counters", 90, every_seconds=5)
    for held in cluster.prefect.read_deployments():
        flow = cluster.prefect.read_flow(held.flow_id).name
        found = query(f'prefect_flow_runs_total{{flow_name="{flow}",deployment="{held.name}"}}')
        assert {one.labels["status"] for one in found} == {"success", "failed", "crashed", "cancelled"}


@pytest.mark.smoke
def test_runs_are_counted_once_by_how_they_ended(cluster: Cluster, months: tuple[str, ...]) -> None:
    of = ("experiment_pipeline", "default")
    before = {status: counted(*of, status) for status in ("success", "failed")}
    cluster.complete("/".join(of), {"data_source": months[0], **SETTING})
    failed = cluster.finish(cluster.start("/".join(of), {"data_source": "no-such-month.parquet"}).id)
    assert failed.state is not None
    assert failed.state.is_failed()
    for status, count in before.items():
        seen(lambda status=status, count=count: counted(*of, status) == count + 1, status)  # type: ignore[misc]
    assert pushed("experiment_pipeline", "sklearn", "taxi_experiment_points")[0].value > 0
    assert query('prefect_deployment_last_success_timestamp_seconds{flow_name="experiment_pipeline"}')


@pytest.mark.smoke
def test_a_cancelled_run_is_counted_as_such(cluster: Cluster, months: tuple[str, ...]) -> None:
    before = counted("parameter_sweep_flow", "default", "cancelled")
    grid = {"eps_values": [0.02 * n for n in range(1, 31)], "min_samples_values": [5, 10, 20, 50]}
    run = cluster.start("parameter_sweep_flow/default", {"data_source": months[1], **grid})
    wait_until(lambda: (state := cluster.prefect.read_flow_run(run.id).state) and state.is_running(), "its start", 90)
    cluster.prefect.set_flow_run_state(run.id, Cancelling(), force=True)
    ended = cluster.finish(run.id)
    assert ended.state is not None
    assert ended.state.is_cancelled()
    seen(lambda: counted("parameter_sweep_flow", "default", "cancelled") == before + 1, "a cancelled run")


def seen(look: Callable[[], bool], what: str) -> None:
    wait_until(look, f"{what} in Prometheus", SEEN_SECONDS, every_seconds=3)


def pushed(flow: str, adapter: str, metric: str) -> list[Sample]:
    return query(f'{metric}{{flow="{flow}",adapter="{adapter}"}}')


@pytest.mark.smoke
@pytest.mark.usefixtures("months")
def test_a_failed_daily_flow_leads_to_an_alert_that_names_it(cluster: Cluster) -> None:
    run = cluster.finish(cluster.start(f"{DAILY}/default", {"data_source": "no-such-month.parquet"}).id)
    assert run.state is not None
    assert run.state.is_failed()
    firing = wait_until(lambda: by_flow(alerts("FlowFailureRateHigh"), DAILY), "the alert", 150, every_seconds=5)
    assert firing["labels"]["deployment"] == "default"
    assert DAILY in firing["annotations"]["summary"]
    assert "/runs?" in firing["annotations"]["description"]
    assert f"prefect flow-run ls --flow-name {DAILY}" in firing["annotations"]["description"]


def by_flow(found: list[dict[str, dict[str, str]]], flow: str) -> dict[str, dict[str, str]] | None:
    return next((one for one in found if one["labels"]["flow_name"] == flow), None)


NOT_ALWAYS_THERE = {metrics.SPEED_UP.name, metrics.POSTGRES_DATABASE_SIZE.name, metrics.POSTGRES_VOLUME_SIZE.name}
"""The months of the tests have too few points for the one, the others come with the first daily backup."""


@pytest.mark.smoke
@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("where", [*dict.fromkeys(where.partition(":")[0] for where, _ in EXPRESSIONS)])
def test_promql_is_evaluated_with_data(where: str) -> None:
    """After the runs of the tests before. A condition may hold for nothing, but what it looks at is there."""
    expressions = [expr for name, expr in EXPRESSIONS if name.partition(":")[0] == where]
    for expr in expressions:
        query(without_variables(expr))
    for name in {name for expr in expressions for name, _ in selectors_of(expr)} - NOT_ALWAYS_THERE:
        assert query(f"count({name})"), f"{where}: no series of {name}"


@pytest.mark.smoke
@pytest.mark.usefixtures("stack")
def test_the_guides_queries_give_numbers() -> None:
    rate = 'sum(rate(prefect_flow_runs_total{status="success"}[5m])) / sum(rate(prefect_flow_runs_total[5m])) * 100'
    assert len(query(rate)) == 1
    sums, counts = (f"rate(prefect_flow_run_duration_seconds_{what}[5m])" for what in ("sum", "count"))
    assert query(f"{sums} / {counts}")


@pytest.mark.smoke
@pytest.mark.usefixtures("stack")
def test_the_alerts_of_the_platform_are_silent() -> None:
    firing = {alert.name for alert in ALERTS["platform"] if alerts(alert.name)}
    assert firing == set()


def test_a_run_out_of_memory_is_counted_and_alerts(cluster: Cluster, months: tuple[str, ...]) -> None:
    before = total('prefect_pod_failures_total{reason="OOMKilled"}')
    crashed = counted("experiment_pipeline", "default", "crashed")
    run = cluster.start("experiment_pipeline/default", {"data_source": months[1]}, {"memory": "120Mi"})
    done = cluster.finish(run.id)
    assert done.state is not None
    assert done.state.is_crashed(), pod_of(run.id)["status"]
    seen(lambda: total('prefect_pod_failures_total{reason="OOMKilled"}') > before, "an OOM kill")
    seen(lambda: counted("experiment_pipeline", "default", "crashed") == crashed + 1, "a crash")
    for name in ("PodOutOfMemory", "FlowCrashed"):
        wait_until(lambda name=name: alerts(name), name, 150, every_seconds=5)  # type: ignore[misc]


def test_a_run_without_its_image_is_counted_and_alerts(
    cluster: Cluster, months: tuple[str, ...], by_hand: dict[str, str]
) -> None:
    before = total('prefect_pod_failures_total{reason="ImagePullError"}')
    crashed = counted("experiment_pipeline", "parallel", "crashed")
    with nowhere(cluster, by_hand, "experiment_pipeline/parallel"):
        run = cluster.start("experiment_pipeline/parallel", {"data_source": months[0]})
        wait_until(lambda: total('prefect_pod_failures_total{reason="ImagePullError"}') > before, "the reason", 120, 3)
    delete_job(run.id)
    ended = cluster.finish(run.id)
    assert ended.state is not None
    assert ended.state.is_crashed()
    seen(lambda: counted("experiment_pipeline", "parallel", "crashed") == crashed + 1, "a crash")
    firing = wait_until(lambda: alerts("FlowCannotStart"), "FlowCannotStart", 150, every_seconds=5)
    assert "ImagePullError" in {one["labels"]["reason"] for one in firing}


def test_an_object_store_that_is_down_alerts_until_it_is_back() -> None:
    kubectl("scale", "statefulset/minio", "-n", PLATFORM, "--replicas=0")
    try:
        wait_until(lambda: alerts("ObjectStoreDown", "pending"), "a pending alert", 150, every_seconds=5)
        wait_until(lambda: alerts("ObjectStoreDown"), "a firing alert", 240, every_seconds=5)
    finally:
        kubectl("scale", "statefulset/minio", "-n", PLATFORM, "--replicas=1")
    wait_until(lambda: get(PLATFORM, "statefulset", "minio")["status"].get("readyReplicas"), "MinIO", 120)
    wait_until(lambda: not alerts("ObjectStoreDown"), "silence", 180, every_seconds=5)


def test_counts_are_exact_though_everything_restarts(cluster: Cluster, months: tuple[str, ...]) -> None:
    of = ("experiment_pipeline", "default")
    before = {status: counted(*of, status) for status in ("success", "failed", "crashed", "cancelled")}
    parts = (
        (FLOWS, "statefulset/exporter"),
        (PLATFORM, "statefulset/prometheus-pushgateway"),
        (PLATFORM, "statefulset/prometheus-server"),
        (PLATFORM, "deployment/prefect-server"),
    )
    ended = []
    for namespace, part in parts:
        runs = [cluster.start("/".join(of), {"data_source": months[0], **SETTING}) for _ in range(2)]
        kubectl("rollout", "restart", part, "-n", namespace)
        kubectl("rollout", "status", part, "-n", namespace, "--timeout=180s")
        ended += [run_to_end(one.id) for one in runs]
    finals = {"success": "COMPLETED", "failed": "FAILED", "crashed": "CRASHED", "cancelled": "CANCELLED"}
    wanted = {status: count + ended.count(finals[status]) for status, count in before.items()}

    def exact() -> bool:
        return {status: counted(*of, status) for status in wanted} == wanted

    wait_until(exact, f"{wanted} after {ended}", 120, every_seconds=5)


def run_to_end(run_id: object) -> str:
    """Type of a run's final state, asked of a server that may have restarted."""
    final = {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}

    def ended() -> str | None:
        state = flow_run_state(str(run_id))
        return state if state in final else None

    return wait_until(ended, f"the end of {run_id}", 300, every_seconds=5)


@pytest.mark.usefixtures("stack")
def test_the_daily_backup_tells_the_size_of_the_database() -> None:
    kubectl("delete", "job", "backup-by-hand", "-n", PLATFORM, "--ignore-not-found")
    kubectl("create", "job", "backup-by-hand", "-n", PLATFORM, "--from=cronjob/postgresql-backup")
    try:
        kubectl("wait", "--for=condition=Complete", "job/backup-by-hand", "-n", PLATFORM, "--timeout=180s")
        assert "200" in kubectl("logs", "job/backup-by-hand", "-n", PLATFORM, "-c", "sizes")
    finally:
        kubectl("delete", "job", "backup-by-hand", "-n", PLATFORM, "--wait=false")
    seen(lambda: total(metrics.POSTGRES_VOLUME_SIZE.name) == 2 * 2**30, "the volume of values-small.yaml")
    assert 2**20 < total(metrics.POSTGRES_DATABASE_SIZE.name) < 2**30


FINALS: dict[str, Callable[[], State]] = {
    "success": Completed,
    "failed": Failed,
    "crashed": Crashed,
    "cancelled": Cancelled,
}
RUNS, RSS_MIB, LAG_P95_SECONDS = 500, 150, 1.0


@flow
def stub_of_the_soak() -> None:
    """Never called: the test takes the worker's part and reports its states."""


def test_500_runs_are_counted_exactly(cluster: Cluster, record_property: Callable[[str, object], None]) -> None:
    of = ("stub-of-the-soak", "none")
    before = {status: counted(*of, status) for status in FINALS}
    ends = Random(7).choices(list(FINALS), k=RUNS)  # noqa: S311  (no secret)
    for status in ends:
        run = cluster.prefect.create_flow_run(stub_of_the_soak, state=Pending())
        cluster.prefect.set_flow_run_state(run.id, Running(), force=True)
        cluster.prefect.set_flow_run_state(run.id, FINALS[status](), force=True)
    wanted = {status: before[status] + ends.count(status) for status in FINALS}

    def exact() -> bool:
        return {status: counted(*of, status) for status in FINALS} == wanted

    wait_until(exact, f"{wanted}", 90, every_seconds=5)
    lag = f"histogram_quantile(0.95, sum by (le) (increase({metrics.EXPORTER_LAG.name}_bucket[10m])))"
    (p95,) = query(lag)
    status_file = kubectl("exec", "-n", FLOWS, "exporter-0", "--", "cat", "/proc/1/status")
    (rss_kib,) = re.findall(r"VmRSS:\s+(\d+) kB", status_file)
    record_property("lag p95", f"{p95.value:.2f} s")
    record_property("RSS of the exporter", f"{int(rss_kib) / 1024:.0f} MiB")
    assert p95.value < LAG_P95_SECONDS
    assert int(rss_kib) / 1024 < RSS_MIB
