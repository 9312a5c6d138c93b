"""Starting flow runs on the cluster and looking at what they leave."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun

from flows.store import ObjectStore
from tests.cluster.kube import FLOWS, PLATFORM, forwarded, frozen, get, run, wait_until

RUN_SECONDS = 300
LOG_SECONDS = 60
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """The installed stack, as a person reaches it after `eval "$(taxi-flows platform env)"`.

    prefect: client of the server. store: with the rights of people who put months.
    """

    prefect: SyncPrefectClient
    store: ObjectStore

    def start(self, deployment: str, parameters: Parameters, job_variables: Parameters | None = None) -> FlowRun:
        """Create a flow run of a deployment."""
        found = self.prefect.read_deployment_by_name(deployment)
        return self.prefect.create_flow_run_from_deployment(
            found.id, parameters=parameters, job_variables=job_variables
        )

    def finish(self, run_id: UUID, timeout_seconds: float = RUN_SECONDS) -> FlowRun:
        """Wait for the final state of a flow run."""

        def final() -> FlowRun | None:
            try:
                found = self.prefect.read_flow_run(run_id)
            except httpx.TransportError:  # the forwarded port is opened anew
                return None
            return found if found.state is not None and found.state.is_final() else None

        return wait_until(final, f"the end of flow run {run_id}", timeout_seconds)

    def complete(self, deployment: str, parameters: Parameters, job_variables: Parameters | None = None) -> FlowRun:
        """Run a deployment to its end, which must be Completed."""
        run = self.finish(self.start(deployment, parameters, job_variables).id)
        assert run.state is not None
        assert run.state.is_completed(), f"{deployment}: {run.state}\n{self.log(run.id)}"
        return run

    def log(self, run_id: UUID) -> str:
        """The log of a flow run as Prefect keeps it."""
        lines = self.prefect.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        return "\n".join(line.message for line in sorted(lines, key=lambda line: line.timestamp))

    def await_log(self, run_id: UUID, words: str, timeout_seconds: float = LOG_SECONDS) -> None:
        """Wait for words in the log of a flow run: Prefect gets its last lines after its last state."""
        wait_until(lambda: words in self.log(run_id), f"{words!r} in the log of flow run {run_id}", timeout_seconds)

    def children(self, sweep_id: str) -> list[FlowRun]:
        """The flow runs that do the cells of a sweep."""
        return self.prefect.read_flow_runs(
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"sweep:{sweep_id}"]))
        )

    def records(self, kind: str, run_id: UUID) -> list[dict[str, Any]]:
        """The records in MinIO that a flow run wrote today or yesterday, of experiments, sweeps, ..."""
        days = [(datetime.now(UTC) - timedelta(days=back)).date().isoformat() for back in (0, 1)]
        keys = [
            one.key
            for day in days
            for one in self.store.list("taxi-experiments", f"{kind}/date={day}/")
            if one.key.endswith(".json")
        ]
        found = [json.loads(self.store.get_bytes("taxi-experiments", key)) for key in keys]
        return [one for one in found if one.get("environment", {}).get("flow_run_id") == str(run_id)]


def job_of(run_id: UUID) -> Any:
    """The one Job of a flow run."""
    (job,) = get(FLOWS, "jobs", "-l", f"prefect.io/flow-run-id={run_id}")
    return job


def pod_of(run_id: UUID) -> Any:
    """The one pod of a flow run."""
    (pod,) = get(FLOWS, "pods", "-l", f"prefect.io/flow-run-id={run_id}")
    return pod


def flow_run_state(run_id: str) -> str:
    """Type of the state of a flow run, asked of the server anew."""
    data = get(PLATFORM, "secret", "prefect-auth")["data"]
    auth = base64.b64decode(data["auth-string"]).decode()
    with forwarded(PLATFORM, "prefect-server", 4200) as address:
        answer = run("curl", "-fsS", "-u", auth, f"http://{address}/api/flow_runs/{run_id}")
    return str(json.loads(answer)["state_type"])


@contextmanager
def nowhere(cluster: Cluster, by_hand: Mapping[str, str], deployment: str) -> Iterator[str]:
    """While it lasts the deployment's pods are to have an image of ours that is not in the registry; its reference."""
    held = cluster.prefect.read_deployment_by_name(deployment)
    variables = held.job_variables or {}
    repository = variables["image"].partition("@")[0]
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    image = f"{repository}:nowhere"
    with frozen(dict(by_hand), f"deployment/{deployment}"):
        cluster.prefect.update_deployment(held.id, DeploymentUpdate(job_variables={**variables, "image": image}))
        try:
            yield image
        finally:
            cluster.prefect.update_deployment(held.id, DeploymentUpdate(job_variables=variables))


def delete_job(run_id: UUID) -> None:
    """Delete the Job of a flow run, and wait for nothing."""
    run("kubectl", "delete", "jobs", "-n", FLOWS, "-l", f"prefect.io/flow-run-id={run_id}", "--wait=false")
