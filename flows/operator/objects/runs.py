"""The flow runs of objects: each carries the uid of its object, as idempotency key and as a tag, and its namespace."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling
from pydantic import TypeAdapter, ValidationError

from flows.errors import ObjectError, RunRefusedError
from flows.operator.objects.schema import Specification
from flows.operator.objects.status import Run
from flows.operator.prefect_api import prefect_client, refusal
from flows.outcome import KEY, Outcome

_log = logging.getLogger("flows.operator")
_TABLE: TypeAdapter[tuple[Outcome]] = TypeAdapter(tuple[Outcome])
_NAMESPACE = "kubernetes-object:"
_UID = "uid:"
_PAGE = 200
_BATCH = 50
"""Ids of one query; each may have several artifacts."""
_OF_THE_SERVER = {401, 403, 429, 502, 503, 504}
"""Answers that concern all flow runs; by any other the server does not take this one, or fails at it."""
_UNDER_WAY = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
]


@contextmanager
def flow_runs(namespace: str) -> Iterator[FlowRuns]:
    """Those of objects of a namespace, on the server that PREFECT_API_URL names.

    Raises:
        PrefectApiError: the server refuses or goes away.
    """
    with prefect_client() as client:
        yield FlowRuns(client, namespace)


class FlowRuns:
    """What the controller asks of Prefect. Every call raises what Prefect's client does where the server is away.

    Args:
        client: of the server, which other namespaces may use as well.
        namespace: of the objects; a tag of their runs tells them from those of others.
    """

    def __init__(self, client: SyncPrefectClient, namespace: str) -> None:
        self._client, self._tag = client, f"{_NAMESPACE}{namespace}"
        self._deployments: dict[str, UUID] = {}

    def under_way(self) -> dict[str, Run]:
        """All that have not ended, by the uid of their object."""
        by_state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
        of_objects = FlowRunFilter(tags=FlowRunFilterTags(all_=[self._tag]), state=by_state)
        found: list[FlowRun] = []
        while True:
            page = self._client.read_flow_runs(flow_run_filter=of_objects, limit=_PAGE, offset=len(found))
            found += page
            if len(page) < _PAGE:
                return {_uid(run): _run(run) for run in found}

    def by_id(self, ids: Sequence[str]) -> dict[str, Run]:
        """Flow runs by their ids; one that is gone is left out."""
        found: dict[str, Run] = {}
        for some in _batches(ids):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(one) for one in some]))
            found |= {
                str(run.id): _run(run) for run in self._client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
            }
        return found

    def children(self, parent_id: str, among: Sequence[str]) -> list[Run]:
        """Those of these flow runs that another one has started."""
        found: list[Run] = []
        for some in _batches(among):
            wanted = FlowRunFilter(
                id=FlowRunFilterId(any_=[UUID(one) for one in some]),
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[UUID(parent_id)]),
            )
            found += [_run(run) for run in self._client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)]
        return found

    def start(self, spec: Specification, name: str, uid: str) -> Run:
        """The flow run of an object: a new one, or the one that it has already.

        Raises:
            ObjectError: there is no such deployment.
            RunRefusedError: the server does not take it.
        """
        deployment = self._deployment(spec.deployment)
        try:
            made = self._client.create_flow_run_from_deployment(
                deployment,
                parameters=spec.parameters,
                name=name,
                tags=[self._tag, f"{_UID}{uid}"],
                idempotency_key=uid,
                job_variables=spec.job_variables,
            )
        except PrefectHTTPStatusError as error:
            if error.response.status_code in _OF_THE_SERVER:
                raise
            raise RunRefusedError(
                f"{refusal(error)} It is asked again every few seconds; to correct it, create another object."
            ) from error
        return _run(made)

    def cancel(self, run_id: str) -> None:
        """Ask a flow run to end; one that is gone or has ended stays as it is."""
        try:
            self._client.set_flow_run_state(UUID(run_id), Cancelling(message="Its Kubernetes object was deleted."))
        except ObjectNotFound:
            return

    def outcomes(self, run_ids: Sequence[str]) -> dict[str, Outcome]:
        """What flow runs have published, by their ids."""
        found: dict[str, Outcome] = {}
        for some in _batches(run_ids):
            wanted = ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(one) for one in some]),
                key=ArtifactFilterKey(like_=f"%-{KEY}"),
            )
            artifacts = self._client.read_artifacts(artifact_filter=wanted, limit=_PAGE)
            for artifact in sorted(artifacts, key=lambda one: str(one.created)):
                try:
                    found[str(artifact.flow_run_id)] = _TABLE.validate_json(str(artifact.data))[0]
                except ValidationError as error:
                    _log.warning(
                        "artifact %s of flow run %s is no outcome: %s", artifact.id, artifact.flow_run_id, error
                    )
        return found

    def _deployment(self, name: str) -> UUID:
        try:
            if name not in self._deployments:
                self._deployments[name] = self._client.read_deployment_by_name(name).id
        except ObjectNotFound as error:
            raise ObjectError(f"Prefect has no deployment {name}; the operator makes it at its next pass.") from error
        return self._deployments[name]


def _run(run: FlowRun) -> Run:
    state = run.state
    return Run(
        id=str(run.id),
        state="scheduled" if state is None else state.type.value.lower(),
        name="Scheduled" if state is None else state.name or state.type.value.title(),
        message="" if state is None else state.message or "",
        started_at=run.start_time,
        ended_at=run.end_time,
    )


def _uid(run: FlowRun) -> str:
    return next((tag.removeprefix(_UID) for tag in run.tags if tag.startswith(_UID)), "")


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[first : first + _BATCH] for first in range(0, len(ids), _BATCH))
