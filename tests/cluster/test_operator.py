"""The operator keeps Prefect as declared, whatever a person or a fault changes, and leaves alone what is frozen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
from prefect.client.schemas.actions import DeploymentUpdate, GlobalConcurrencyLimitCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from flows.operator.kinds import Kind
from flows.operator.prefect.inventory import CONFIG_MAP, KEY, Inventory
from flows.telemetry.metrics import RECONCILE
from tests.cluster.faults import away
from tests.cluster.kube import FLOWS, RELEASE, frozen, get, kubectl, release, wait_until, write_release
from tests.cluster.objects import OPERATOR, events_of, operator_total, replicas
from tests.cluster.prometheus import total
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster

STALE = "stale"
DAILY, WEEKLY = "daily_adapter_comparison_flow/default", "weekly_parameter_sweep_flow/default"
HEALED_SECONDS = 90


def is_active(cluster: Cluster, name: str) -> bool:
    (schedule,) = cluster.prefect.read_deployment_by_name(name).schedules
    return bool(schedule.active)


def pause(cluster: Cluster, name: str) -> None:
    found = cluster.prefect.read_deployment_by_name(name)
    cluster.prefect.update_deployment_schedule(found.id, found.schedules[0].id, active=False)


def edit_pool(cluster: Cluster) -> None:
    pool = cluster.prefect.read_work_pool("sequential")
    template = deepcopy(pool.base_job_template)
    template["variables"]["properties"]["memory"]["default"] = "1Mi"
    cluster.prefect.update_work_pool("sequential", WorkPoolUpdate(base_job_template=template, concurrency_limit=99))


def pool_is_declared(cluster: Cluster) -> bool:
    pool = cluster.prefect.read_work_pool("sequential")
    memory = pool.base_job_template["variables"]["properties"]["memory"]["default"]
    return pool.concurrency_limit != 99 and memory != "1Mi"


def delete(cluster: Cluster, name: str) -> None:
    cluster.prefect.delete_deployment(cluster.prefect.read_deployment_by_name(name).id)


def is_there(cluster: Cluster, name: str) -> bool:
    try:
        cluster.prefect.read_deployment_by_name(name)
    except ObjectNotFound:
        return False
    return True


def delete_automation(cluster: Cluster) -> None:
    for one in cluster.prefect.read_automations_by_name("zombie-flow-runs"):
        cluster.prefect.delete_automation(one.id)


def limit(cluster: Cluster, name: str) -> int | None:
    found = cluster.prefect.read_deployment_by_name(name).global_concurrency_limit
    return None if found is None else found.limit


def lift_limit(cluster: Cluster) -> None:
    found = cluster.prefect.read_deployment_by_name(WEEKLY)
    cluster.prefect.update_deployment(found.id, DeploymentUpdate(concurrency_limit=99))


def leave_behind(cluster: Cluster) -> None:
    """A limit and a deployment that were declared once: they are in the inventory."""
    cluster.prefect.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=STALE, limit=1))
    flow = cluster.prefect.read_deployment_by_name("experiment_pipeline/default")
    cluster.prefect.create_deployment(
        flow_id=flow.flow_id, name=STALE, work_pool_name="sequential", entrypoint=flow.entrypoint
    )
    held = Inventory.from_text(get(FLOWS, "configmap", CONFIG_MAP)["data"][KEY], CONFIG_MAP)
    entries = [(Kind.CONCURRENCY_LIMIT, STALE), (Kind.DEPLOYMENT, f"experiment_pipeline/{STALE}")]
    data = json.dumps({"data": {KEY: held.with_entries(entries).to_text()}})
    kubectl("patch", "configmap", CONFIG_MAP, "-n", FLOWS, "--type=merge", "-p", data)


def is_pruned(cluster: Cluster) -> bool:
    limits = [one.name for one in cluster.prefect.read_global_concurrency_limits(limit=100)]
    inventory = get(FLOWS, "configmap", CONFIG_MAP)["data"][KEY]
    return STALE not in limits and not is_there(cluster, f"experiment_pipeline/{STALE}") and STALE not in inventory


DRIFTS: dict[str, tuple[Callable[[Cluster], object], Callable[[Cluster], object]]] = {
    "a schedule is paused": (lambda on: pause(on, DAILY), lambda on: is_active(on, DAILY)),
    "a work pool is edited": (edit_pool, pool_is_declared),
    "a deployment is deleted": (
        lambda on: delete(on, "aggregate_results_flow/default"),
        lambda on: is_there(on, "aggregate_results_flow/default"),
    ),
    "an automation is deleted": (
        delete_automation,
        lambda on: len(on.prefect.read_automations_by_name("zombie-flow-runs")) == 1,
    ),
    "a concurrency limit is lifted": (lift_limit, lambda on: limit(on, WEEKLY) == 1),
    "what is no longer declared is left": (leave_behind, is_pruned),
}


@pytest.mark.smoke
def test_each_drift_is_healed_and_told(cluster: Cluster) -> None:
    uid = get(FLOWS, "configmap", RELEASE)["metadata"]["uid"]
    before = total("sum(taxi_operator_drift_healed_total)")
    for drift, _ in DRIFTS.values():
        drift(cluster)
    for name, (_, is_healed) in DRIFTS.items():
        wait_until(partial(is_healed, cluster), f"the end of: {name}", HEALED_SECONDS, 2)
    assert events_of(uid).count("DriftHealed") >= len(DRIFTS)
    healed = f"sum(taxi_operator_drift_healed_total) >= {before + len(DRIFTS)}"
    wait_until(lambda: total(healed), "the healed drifts in Prometheus", 90, 5)


def test_two_operators_heal_each_drift_between_them(cluster: Cluster) -> None:
    with replicas(2):
        one, other = (f"pod/{pod['metadata']['name']}" for pod in get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics"))
        for drift, _ in DRIFTS.values():
            drift(cluster)
        for name, (_, is_healed) in DRIFTS.items():
            wait_until(partial(is_healed, cluster), f"the end of: {name}", HEALED_SECONDS, 2)
        for pod in (one, other):
            until_two_passes(pod)
        left = [name for name, (_, is_healed) in DRIFTS.items() if not is_healed(cluster)]
        assert left == [], "what one has healed is well for the other"


def until_two_passes(pod: str) -> None:
    """Wait until an operator has taken a whole pass from now on."""
    before = operator_total(RECONCILE.name, pod)
    wait_until(lambda: operator_total(RECONCILE.name, pod) >= before + 2, f"two passes of {pod}", 150, 5)


@pytest.mark.smoke
def test_what_is_frozen_stays_until_it_is_not(cluster: Cluster, by_hand: dict[str, str]) -> None:
    with frozen(by_hand, f"deployment/{WEEKLY}"):
        pause(cluster, WEEKLY)
        pause(cluster, DAILY)
        wait_until(lambda: is_active(cluster, DAILY), "the pass that heals the other", HEALED_SECONDS, 2)
        assert not is_active(cluster, WEEKLY)
    wait_until(lambda: is_active(cluster, WEEKLY), "it is declared again", HEALED_SECONDS, 2)


def test_what_is_not_ours_is_left_alone(cluster: Cluster) -> None:
    deployment = cluster.prefect.read_deployment_by_name("experiment_pipeline/default")
    strangers = cluster.prefect.create_deployment(
        flow_id=deployment.flow_id, name="strangers", work_pool_name="sequential", entrypoint=deployment.entrypoint
    )
    try:
        pause(cluster, DAILY)
        wait_until(lambda: is_active(cluster, DAILY), "a pass", HEALED_SECONDS, 2)
        assert cluster.prefect.read_deployment(strangers).name == "strangers"
    finally:
        cluster.prefect.delete_deployment(strangers)


def test_a_changed_release_is_taken_at_once(cluster: Cluster) -> None:
    """Within seconds, where the next pass would come a minute later."""
    held = release()

    def within() -> float:
        (automation,) = cluster.prefect.read_automations_by_name("pending-flow-runs")
        return float(automation.trigger.within.total_seconds())  # type: ignore[union-attr]

    before = within()
    try:
        write_release(held.replace(f"pendingLimitSeconds: {before:.0f}", "pendingLimitSeconds: 321"))
        wait_until(lambda: within() == 321, "the new limit", 30)
    finally:
        write_release(held)
    wait_until(lambda: within() == before, "the limit as it was", 30)


def test_without_prefect_it_goes_on_and_is_not_ready(cluster: Cluster) -> None:
    (before,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
    with away("deployment/prefect-server"):
        wait_until(lambda: not is_ready(), "a pod that is not ready", 400, 5)
    wait_until(lambda: is_ready(), "a pod that is ready", 180, 3)
    (after,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def is_ready() -> bool:
    return get(FLOWS, OPERATOR)["status"].get("readyReplicas", 0) == 1


@pytest.mark.smoke
def test_the_operator_stops_within_ten_seconds(stack: None) -> None:
    (pod,) = get(FLOWS, "pods", "-l", "taxi-flows/serves=metrics")
    started = time.monotonic()
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", FLOWS, "--grace-period=30")
    assert time.monotonic() - started < 10
    kubectl("rollout", "status", OPERATOR, "-n", FLOWS, "--timeout=120s")
