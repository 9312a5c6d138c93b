"""Ends a flow run whose pod Kubernetes refuses to create, with the reason: a quota that is used up, a policy.

The Job of such a run is there and has no pod, so that Prefect's observer, which reads pods and Jobs, sees nothing: the
run would be pending until it is cancelled for that. The reason stands in an event of the Job alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import kopf
from kubernetes_asyncio.client import ApiClient, BatchV1Api
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.config import load_incluster_config
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.states import Crashed

if TYPE_CHECKING:
    from typing import Any

FLOW_RUN_ID = "prefect.io/flow-run-id"


def is_refusal(body: kopf.Body, **_: Any) -> bool:
    """Whether an event tells that a Job's pod is not allowed. Faults that pass by themselves are no refusal."""
    of_job = body.get("involvedObject", {}).get("kind") == "Job" and body.get("reason") == "FailedCreate"
    return of_job and "is forbidden: " in body.get("message", "")


def ending(message: str) -> str:
    """What a run's state says of the message of a Job's event."""
    reason = message.partition("is forbidden: ")[2]
    return f"Kubernetes refuses the pod of this run: {reason}. Ask for less, run it later, or have the limit raised."


@kopf.on.event("", "v1", "events", when=is_refusal)
async def end_refused_run(body: kopf.Body, **_: Any) -> None:
    """Called by kopf in the observer's thread."""
    job = body["involvedObject"]
    await end_run_of(job["name"], job["namespace"], body["message"])


async def end_run_of(job: str, namespace: str, message: str) -> None:
    """Crash the run of a Job that Kubernetes refuses a pod, and delete the Job: it would start a pod later on."""
    load_incluster_config()  # type: ignore[no-untyped-call]
    async with ApiClient() as kubernetes:
        jobs = BatchV1Api(kubernetes)
        try:
            flow_run_id = ((await jobs.read_namespaced_job(job, namespace)).metadata.labels or {}).get(FLOW_RUN_ID)
            if flow_run_id is None:
                return
            await crash(UUID(flow_run_id), ending(message))
            await jobs.delete_namespaced_job(job, namespace, propagation_policy="Background")
        except ApiException as error:
            if error.status != 404:  # another worker was first
                raise


async def crash(flow_run_id: UUID, message: str) -> None:
    """Have the run end with that message, unless it has ended."""
    async with get_client() as prefect:
        try:
            run = await prefect.read_flow_run(flow_run_id)
            if run.state is None or not run.state.is_final():
                await prefect.set_flow_run_state(flow_run_id, Crashed(message=message))
                get_logger("flows.operator.worker").warning("flow run %s: %s", run.name, message)
        except ObjectNotFound:
            return
