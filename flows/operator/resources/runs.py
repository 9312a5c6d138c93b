"""The flow runs of objects: each carries the uid of its object, as idempotency key and as a tag, and its namespace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, TypeVar
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
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling
from pydantic import AwareDatetime, BaseModel, BeforeValidator, JsonValue, TypeAdapter, ValidationError

from flows.core.errors import ObjectError, RunRefusedError
from flows.model.outcome import KEY, Outcome
from flows.operator.faults import Faults
from flows.operator.prefect.api import prefect_client, refusal, understood
from flows.operator.resources.schema import Specification
from flows.operator.resources.status import Run

_TABLE: TypeAdapter[tuple[Outcome]] = TypeAdapter(tuple[Outcome])
_ITEMS: TypeAdapter[list[object]] = TypeAdapter(list[object])
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


def _if_text(value: object) -> object:
    return value if isinstance(value, str) else None


Text = Annotated[str | None, BeforeValidator(_if_text)]


class _StateAnswer(BaseModel):
    """Its type may be one of a later version of the server."""

    type: str
    name: Text = None
    message: Text = None


class _RunAnswer(BaseModel):
    """A flow run as the server tells of it, as far as it is needed here."""

    id: UUID
    tags: tuple[str, ...] = ()
    idempotency_key: Text = None
    state: _StateAnswer | None = None
    start_time: AwareDatetime | None = None
    end_time: AwareDatetime | None = None
    created: AwareDatetime | None = None

    @property
    def uid(self) -> str:
        """Of its object; empty for a copy of the run, which has the tags and not the key."""
        uid = next((tag.removeprefix(_UID) for tag in self.tags if tag.startswith(_UID)), "")
        return uid if self.idempotency_key in {None, uid} else ""


class _ArtifactAnswer(BaseModel):
    id: UUID
    flow_run_id: UUID
    created: datetime | None = None
    data: JsonValue = None


Answer = TypeVar("Answer", _RunAnswer, _ArtifactAnswer)


@contextmanager
def flow_runs(namespace: str, faults: Faults | None = None) -> Iterator[FlowRuns]:
    """Those of objects of a namespace, on the server that PREFECT_API_URL names.

    Raises:
        PrefectApiError: the server refuses or goes away.
    """
    with prefect_client() as client:
        yield FlowRuns(client, namespace, faults or Faults())


class FlowRuns:
    """What the controller asks of Prefect.

    Every call raises PrefectApiError for an answer that can't be read, and what Prefect's client does where the server
    is away. One flow run or artifact that can't be read is left out, and said.

    Args:
        client: of the server, which other namespaces may use as well.
        namespace: of the objects; a tag of their runs tells them from those of others.
        faults: told of what is left out.
    """

    def __init__(self, client: SyncPrefectClient, namespace: str, faults: Faults) -> None:
        self._client, self._tag, self._faults = client, f"{_NAMESPACE}{namespace}", faults
        self._deployments: dict[str, UUID] = {}

    def under_way(self) -> dict[str, Run]:
        """All that have not ended, by the uid of their object."""
        by_state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
        of_objects = FlowRunFilter(tags=FlowRunFilterTags(all_=[self._tag]), state=by_state)
        found: dict[str, Run] = {}
        seen: set[UUID] = set()
        offset = 0
        while True:
            page = self._page(of_objects, offset)
            new = [run for run in self._readable(_RunAnswer, page) if run.id not in seen]
            found |= {run.uid: _run(run) for run in new if run.uid}
            seen |= {run.id for run in new}
            offset += len(page)
            if len(page) < _PAGE or not new:
                return found

    def by_id(self, ids: Sequence[str]) -> dict[str, Run]:
        """Flow runs by their ids; one that is gone is left out."""
        found: dict[str, Run] = {}
        for some in _batches(ids):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(one) for one in some]))
            found |= {str(run.id): _run(run) for run in self._read(wanted) if str(run.id) in some}
        return found

    def children(self, parent_id: str, among: Sequence[str]) -> list[Run]:
        """Those of these flow runs that another one has started."""
        found: list[Run] = []
        for some in _batches(among):
            wanted = FlowRunFilter(
                id=FlowRunFilterId(any_=[UUID(one) for one in some]),
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[UUID(parent_id)]),
            )
            found += map(_run, self._read(wanted))
        return found

    def start(self, spec: Specification, name: str, uid: str) -> Run:
        """The flow run of an object: a new one, or the one that it has already.

        Raises:
            ObjectError: there is no such deployment.
            RunRefusedError: the server does not take it.
        """
        deployment = self._deployment(spec.deployment)
        try:
            with understood(f"the new flow run of {name}"):
                made = self._client.create_flow_run_from_deployment(
                    deployment,
                    parameters=spec.parameters,
                    name=name,
                    tags=[self._tag, f"{_UID}{uid}"],
                    idempotency_key=uid,
                    job_variables=spec.job_variables,
                )
                return _run(_RunAnswer.model_validate(made.model_dump(mode="json", include={*_RunAnswer.model_fields})))
        except PrefectHTTPStatusError as error:
            if error.response.status_code in _OF_THE_SERVER:
                raise
            raise RunRefusedError(
                f"{refusal(error)} It is asked again every few seconds; to correct it, create another object."
            ) from error

    def cancel(self, run_id: str) -> None:
        """Ask a flow run to end; one that is gone or has ended stays as it is.

        Raises:
            RunRefusedError: the server does not take that.
        """
        try:
            with understood(f"flow run {run_id}"):
                self._client.set_flow_run_state(UUID(run_id), Cancelling(message="Its Kubernetes object was deleted."))
        except ObjectNotFound:
            return
        except PrefectHTTPStatusError as error:
            if error.response.status_code in _OF_THE_SERVER:
                raise
            raise RunRefusedError(refusal(error)) from error

    def outcomes(self, run_ids: Sequence[str]) -> dict[str, Outcome]:
        """What flow runs have published, by their ids."""
        found: dict[str, Outcome] = {}
        for some in _batches(run_ids):
            wanted = ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(one) for one in some]),
                key=ArtifactFilterKey(like_=f"%-{KEY}"),
            )
            body = {"artifacts": wanted.model_dump(mode="json", exclude_unset=True), "limit": _PAGE}
            with understood("artifacts"):
                answer = _ITEMS.validate_python(self._client.request("POST", "/artifacts/filter", json=body).json())
            for artifact in sorted(self._readable(_ArtifactAnswer, answer), key=lambda one: str(one.created)):
                try:
                    found[str(artifact.flow_run_id)] = _TABLE.validate_json(str(artifact.data))[0]
                except ValidationError as error:
                    of = f"artifact {artifact.id} of flow run {artifact.flow_run_id}"
                    self._faults.tell("no outcome", f"{of} is no outcome: {error}")
        return found

    def _read(self, wanted: FlowRunFilter) -> list[_RunAnswer]:
        return list(self._readable(_RunAnswer, self._page(wanted, offset=0)))

    def _page(self, wanted: FlowRunFilter, offset: int) -> list[object]:
        body = {
            "flow_runs": wanted.model_dump(mode="json", exclude_unset=True),
            "sort": "ID_DESC",
            "limit": _PAGE,
            "offset": offset,
        }
        with understood("flow runs"):
            return _ITEMS.validate_python(self._client.request("POST", "/flow_runs/filter", json=body).json())

    def _readable(self, model: type[Answer], items: Sequence[object]) -> Iterator[Answer]:
        for item in items:
            try:
                yield model.model_validate(item)
            except ValidationError as error:
                self._faults.tell("unreadable answer", f"left out of what Prefect tells: {error}")

    def _deployment(self, name: str) -> UUID:
        try:
            if name not in self._deployments:
                with understood(f"deployment {name}"):
                    self._deployments[name] = self._client.read_deployment_by_name(name).id
        except ObjectNotFound as error:
            raise ObjectError(f"Prefect has no deployment {name}; the operator makes it at its next pass.") from error
        return self._deployments[name]


def _run(run: _RunAnswer) -> Run:
    state = run.state
    return Run(
        id=str(run.id),
        state="scheduled" if state is None else state.type.lower(),
        name="Scheduled" if state is None else state.name or state.type.title(),
        message="" if state is None else state.message or "",
        started_at=run.start_time,
        ended_at=run.end_time,
        uid=run.uid,
        created_at=run.created,
    )


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[first : first + _BATCH] for first in range(0, len(ids), _BATCH))
