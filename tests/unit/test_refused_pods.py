"""A run whose pod Kubernetes refuses ends with the reason, and its Job is deleted."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import kopf
import pytest
from kubernetes_asyncio.client.exceptions import ApiException
from prefect.client.schemas.objects import State
from prefect.states import Completed, Pending

from flows.operator.worker import refused_pods
from flows.operator.worker.refused_pods import end_refused_run, end_run_of, ending, is_refusal

QUOTA = (
    'Error creating: pods "brave-taxi-x" is forbidden: exceeded quota: taxi-flows, requested: limits.memory=2Gi, '
    "used: limits.memory=1Gi, limited: limits.memory=2Gi"
)


def event(message: str = QUOTA, kind: str = "Job", reason: str = "FailedCreate") -> kopf.Body:
    job = {"kind": kind, "name": "brave-taxi", "namespace": "taxi-flows"}
    raw: Any = {"reason": reason, "message": message, "involvedObject": job}
    return kopf.Body(raw)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (event(), True),
        (event('pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged'), True),
        (event("Error creating: Internal error occurred: failed calling webhook"), False),
        (event(kind="ReplicaSet"), False),
        (event(reason="SuccessfulCreate"), False),
        (kopf.Body({}), False),
    ],
)
def test_a_refusal_is_told_from_a_fault_that_passes(body: kopf.Body, refused: bool) -> None:
    assert is_refusal(body) is refused


def test_the_ending_names_quota_and_what_was_asked_for() -> None:
    said = ending(QUOTA)
    assert said.startswith("Kubernetes refuses the pod of this run: exceeded quota: taxi-flows, requested: limits.mem")
    assert said.endswith("limited: limits.memory=2Gi. Ask for less, run it later, or have the limit raised.")


class Kubernetes:
    """A cluster with one Job, and Prefect with one run."""

    def __init__(self, run_id: UUID | None, state: State) -> None:
        self.run_id, self.state = run_id, state
        self.deleted: list[str] = []
        self.crashed: list[str] = []

    async def __aenter__(self) -> Kubernetes:
        return self

    async def __aexit__(self, *fault: object) -> None:
        return None

    async def read_namespaced_job(self, name: str, namespace: str) -> Any:
        if self.run_id is None:
            raise ApiException(status=404)
        labels = {"prefect.io/flow-run-id": str(self.run_id)}
        return SimpleNamespace(metadata=SimpleNamespace(labels=labels))

    async def delete_namespaced_job(self, name: str, namespace: str, propagation_policy: str) -> None:
        self.deleted.append(f"{namespace}/{name}")

    async def read_flow_run(self, run_id: UUID) -> Any:
        assert run_id == self.run_id
        return SimpleNamespace(name="brave-taxi", state=self.state)

    async def set_flow_run_state(self, run_id: UUID, state: State) -> None:
        assert state.is_crashed()
        self.crashed.append(str(state.message))


def ended(monkeypatch: pytest.MonkeyPatch, kubernetes: Kubernetes) -> Kubernetes:
    monkeypatch.setattr(refused_pods, "load_incluster_config", lambda: None)
    monkeypatch.setattr(refused_pods, "ApiClient", lambda: kubernetes)
    monkeypatch.setattr(refused_pods, "BatchV1Api", lambda client: client)
    monkeypatch.setattr(refused_pods, "get_client", lambda: kubernetes)
    asyncio.run(end_run_of("brave-taxi", "taxi-flows", QUOTA))
    return kubernetes


def test_a_refused_run_crashes_with_the_reason_and_its_job_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    done = ended(monkeypatch, Kubernetes(uuid4(), Pending()))
    assert done.crashed == [ending(QUOTA)]
    assert done.deleted == ["taxi-flows/brave-taxi"]


def test_a_run_that_has_ended_keeps_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    done = ended(monkeypatch, Kubernetes(uuid4(), Completed()))
    assert done.crashed == []
    assert done.deleted == ["taxi-flows/brave-taxi"]


def test_a_job_that_another_worker_deleted_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    done = ended(monkeypatch, Kubernetes(None, Pending()))
    assert (done.crashed, done.deleted) == ([], [])


def test_the_observer_of_a_worker_calls_it() -> None:
    handlers: list[Any] = [*kopf.get_default_registry()._watching.get_all_handlers()]
    assert end_refused_run in [handler.fn for handler in handlers]
