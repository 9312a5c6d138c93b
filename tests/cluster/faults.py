"""Breaking parts of the cluster, and what a fault test tells for the table of faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun

from tests.cluster.kube import FLOWS, PLATFORM, get, kubectl, wait_until
from tests.cluster.prometheus import alerts
from tests.cluster.runs import Cluster, flow_run_state

EXPERIMENT = "experiment_pipeline/default"
SWEEP = "parameter_sweep_flow/default"
SETTING = {"eps": 0.1, "min_samples": 50}
GRID = {"eps_values": [0.05, 0.1, 0.15, 0.2], "min_samples_values": [5, 10, 20, 50]}
LONG_GRID = {"eps_values": [0.02 * n for n in range(1, 31)], "min_samples_values": [5, 10, 20, 50]}
"""Takes a minute or more, so that something can break meanwhile."""
BOUND_SECONDS = 300
"""The worst of all faults ends within it."""
FIRES_SECONDS = 150
"""Within which an alert that does not wait must fire: two scrapes, two evaluations and the exporter's poll."""
FINAL = {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}
FAULT = ("breaks", "becomes", "bounded by")
"""What `pytest.mark.fault` says, by the names of JUnit's properties."""
TOOK = "final state after"
"""The property that holds how long it took from the fault, as `41 s`."""


class Outcome:
    """How long a fault took to come to its end."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record, self._struck_at = record, time.monotonic()

    def strikes(self) -> None:
        """Something breaks now."""
        self._struck_at = time.monotonic()

    def ends(self, bound_seconds: float = BOUND_SECONDS) -> None:
        """The final state is there, within its bound."""
        seconds = time.monotonic() - self._struck_at
        self._record(TOOK, f"{seconds:.0f} s")
        assert seconds <= bound_seconds


def pods_of(run_id: UUID) -> list[Any]:
    """The pods of a flow run, also those that are gone soon."""
    found: list[Any] = get(FLOWS, "pods", "-l", f"prefect.io/flow-run-id={run_id}")
    return found


def kill_pod(run_id: UUID) -> None:
    """As a drained node does: the pod gets a signal and some time."""
    for pod in pods_of(run_id):
        if pod["status"].get("phase") == "Running":
            kubectl("delete", "pod", pod["metadata"]["name"], "-n", FLOWS, "--wait=false")


def kill_workers() -> None:
    """At once and without a word, as a lost node does; new ones come."""
    kubectl("delete", "pods", "-l", WORKERS, "-n", FLOWS, "--grace-period=0", "--force", "--wait=false")


WORKERS = "app.kubernetes.io/component=worker"


def children_of(cluster: Cluster, parent_id: UUID) -> list[FlowRun]:
    """The flow runs under another one."""
    of_parent = FlowRunFilterParentFlowRunId(any_=[parent_id])
    return cluster.prefect.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=of_parent))


def until_a_child_runs(cluster: Cluster, parent_id: UUID) -> None:
    """Wait until cells are clustered."""

    def one_runs() -> bool:
        return any(child.state is not None and child.state.is_running() for child in children_of(cluster, parent_id))

    wait_until(one_runs, f"a child of {parent_id} that runs", 180)


def until_running(cluster: Cluster, run_id: UUID, starts: int = 1) -> FlowRun:
    """Wait until a flow run has been started that often and runs."""

    def running() -> FlowRun | None:
        found = cluster.prefect.read_flow_run(run_id)
        ready = found.state is not None and found.state.is_running() and found.run_count >= starts
        return found if ready else None

    return wait_until(running, f"start {starts} of {run_id}", 120)


def final_state(run_id: UUID) -> str | None:
    """Type of the final state; asked anew each time, since the server's address may have moved."""
    state = flow_run_state(str(run_id))
    return state if state in FINAL else None


def one_sweep_is_kept(cluster: Cluster, run_id: UUID, n_cells: int) -> dict[str, Any]:
    """Its record, with every cell's experiment there once."""
    (sweep,) = cluster.records("sweeps", run_id)
    assert [cell["status"] for cell in sweep["cells"]] == ["ok"] * n_cells
    kept = [one["id"] for child in cluster.children(sweep["id"]) for one in cluster.records("experiments", child.id)]
    assert len(kept) == len(set(kept))
    assert {cell["experiment_id"] for cell in sweep["cells"]} <= set(kept)
    return sweep


def fires(name: str, state: str = "firing") -> None:
    """Wait until an alert fires; one that waits for minutes by its rule is `pending` first."""
    wait_until(lambda: alerts(name, state), f"{name} {state}", FIRES_SECONDS, 5)


@contextmanager
def away(part: str, namespace: str = PLATFORM) -> Iterator[None]:
    """Without the pods of a Deployment or StatefulSet, back when it ends; one that is gone by then stays so."""
    kubectl("scale", part, "-n", namespace, "--replicas=0")
    try:
        yield
    finally:
        if kubectl("get", part, "-n", namespace, "--ignore-not-found"):
            kubectl("scale", part, "-n", namespace, "--replicas=1")
            kubectl("rollout", "status", part, "-n", namespace, "--timeout=180s")


@contextmanager
def workers_away() -> Iterator[None]:
    """Without workers, and so without anyone who watches pods."""
    kubectl("scale", "deployment", "-l", WORKERS, "-n", FLOWS, "--replicas=0")
    try:
        kubectl("wait", "--for=delete", "pod", "-l", WORKERS, "-n", FLOWS, "--timeout=90s")
        yield
    finally:
        kubectl("scale", "deployment", "-l", WORKERS, "-n", FLOWS, "--replicas=1")
        kubectl("rollout", "status", "deployment", "-l", WORKERS, "-n", FLOWS, "--timeout=180s")


def outage(seconds: float) -> None:
    """An outage has a length, not a condition."""
    time.sleep(seconds)
