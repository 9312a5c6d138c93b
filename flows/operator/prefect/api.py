"""The declared kinds on a Prefect server, by Prefect's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import ConcurrencyOptions, DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.events.schemas.events import Event, Resource
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException, PrefectHTTPStatusError

from flows.core.errors import PrefectApiError, TaxiFlowsError
from flows.operator.kinds import Kind
from flows.operator.prefect.declare import automation_state
from flows.operator.prefect.state import (
    AutomationState,
    ConcurrencyLimitState,
    DeploymentState,
    ScheduleState,
    State,
    WorkPoolState,
)

_LONGEST_WAIT_SECONDS = 5
"""For a server that asks for patience; whoever calls tries again later."""


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """A client of the server that PREFECT_API_URL names.

    Raises:
        PrefectApiError: the server refuses a call, goes away, or its answer is no HTTP that can be read.
    """
    try:
        with get_client({"event_hooks": {"response": [_be_impatient]}}, sync_client=True) as client:
            yield client
    except PrefectHTTPStatusError as error:
        raise PrefectApiError(f"{refusal(error)} Correct what is declared and run it again.") from error
    except ObjectAlreadyExists as error:
        raise PrefectApiError("Another made the same on Prefect's server just now. Run it again.") from error
    except httpx.TransportError as error:
        raise PrefectApiError(
            f"Prefect's API went away: {error or type(error).__name__}. Run it again: what is done stays done."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, PrefectException) as error:
        _refuse_answer("", error)


def _be_impatient(response: httpx.Response) -> None:
    """Prefect's client sleeps as long as a server says, and for ever while it says that it is under maintenance."""
    response.headers.pop("Prefect-Maintenance", None)
    asked = response.headers.get("Retry-After")
    if asked is not None and not (asked.isdecimal() and int(asked[:9]) <= _LONGEST_WAIT_SECONDS):
        response.headers["Retry-After"] = str(_LONGEST_WAIT_SECONDS)


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Around the reading of an answer; what is asked for is named in the error.

    Raises:
        PrefectApiError: the answer is not of the form that Prefect's API has: a proxy's page, another version.
    """
    try:
        yield
    except TaxiFlowsError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        _refuse_answer(f" about {what}", error)


def _refuse_answer(what: str, error: Exception) -> NoReturn:
    found = " ".join(str(error).split())[:300]
    raise PrefectApiError(
        f"Prefect's API gave an answer{what} that can't be read: {type(error).__name__}: {found}. Does PREFECT_API_URL "
        "name Prefect's API, and not a proxy's page? Is the server of a version that is supported?"
    ) from error


PASSED = "taxi-flows.operator.passed"
_OPERATOR = "taxi-flows.operator"


def post_passed() -> None:
    """Post the event of a pass, which also keeps Prefect's automations on time.

    What an automation waits for is held back while nothing happens: the server's clock of events stands at the newest
    one, and an older one that is handled late (15 minutes, where its predecessor was lost) takes it for the present;
    see `get_events_clock_offset` in prefect/server/events/triggers.py. With an event at each pass that is one interval.

    Raises:
        PrefectApiError: the server refuses it, or goes away.
    """
    event = Event(event=PASSED, resource=Resource({"prefect.resource.id": _OPERATOR}))
    with prefect_client() as client, understood("an event"):
        client.request("POST", "/events", json=[event.model_dump(mode="json")])


@contextmanager
def prefect_api() -> Iterator[PrefectApi]:
    """The declared kinds on that server; errors are those of `prefect_client`."""
    with prefect_client() as client:
        yield PrefectApi(client)


def refusal(error: httpx.HTTPStatusError) -> str:
    """What the server refuses, and why."""
    request, response = error.request, error.response
    return f"Prefect refuses {request.method} {request.url.path}: HTTP {response.status_code} {response.text[:500]}."


class PrefectApi:
    """`PlatformApi` over Prefect's client."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def read(self, kind: Kind, name: str) -> State | None:
        """What the server holds under the name."""
        try:
            with understood(f"{kind} {name}"):
                return self._read(kind, name)
        except ObjectNotFound:
            return None

    def _read(self, kind: Kind, name: str) -> State | None:
        match kind:
            case Kind.WORK_POOL:
                return self._read_work_pool(name)
            case Kind.CONCURRENCY_LIMIT:
                return self._read_concurrency_limit(name)
            case Kind.DEPLOYMENT:
                return _deployment_state(name, self._client.read_deployment_by_name(name))
            case Kind.AUTOMATION:
                found = self._automations(name)
                # Two that make one at once leave a double, which counts as not there until it is written anew.
                return automation_state(found[0]) if len(found) == 1 else None

    def write(self, state: State) -> None:
        """Create it, or replace what the server holds under its name."""
        with understood(f"{state.kind} {state.name}"):
            match state:
                case WorkPoolState():
                    self._write_work_pool(state)
                case ConcurrencyLimitState():
                    self._write_concurrency_limit(state)
                case DeploymentState():
                    self._write_deployment(state)
                case AutomationState():
                    self._write_automation(state)

    def delete(self, kind: Kind, name: str) -> None:
        """Delete it; nothing happens where it is gone already."""
        try:
            with understood(f"{kind} {name}"):
                self._delete(kind, name)
        except ObjectNotFound:
            return

    def _delete(self, kind: Kind, name: str) -> None:
        match kind:
            case Kind.WORK_POOL:
                self._client.delete_work_pool(name)
            case Kind.CONCURRENCY_LIMIT:
                self._client.delete_global_concurrency_limit_by_name(name)
            case Kind.DEPLOYMENT:
                self._client.delete_deployment(self._client.read_deployment_by_name(name).id)
            case Kind.AUTOMATION:
                for automation in self._automations(name):
                    self._client.delete_automation(automation.id)

    def _read_work_pool(self, name: str) -> WorkPoolState:
        pool = self._client.read_work_pool(name)
        return WorkPoolState(
            name=name,
            type=pool.type,
            description=pool.description,
            base_job_template=pool.base_job_template,
            concurrency_limit=pool.concurrency_limit,
            is_paused=pool.is_paused,
        )

    def _write_work_pool(self, state: WorkPoolState) -> None:
        fields = state.model_dump(exclude={"name", "type"})
        try:
            self._client.update_work_pool(state.name, WorkPoolUpdate(**fields))
        except ObjectNotFound:
            self._client.create_work_pool(WorkPoolCreate(name=state.name, type=state.type, **fields))

    def _read_concurrency_limit(self, name: str) -> ConcurrencyLimitState:
        limit = self._client.read_global_concurrency_limit_by_name(name)
        return ConcurrencyLimitState(
            name=name, limit=limit.limit, active=limit.active, slot_decay_per_second=limit.slot_decay_per_second
        )

    def _write_concurrency_limit(self, state: ConcurrencyLimitState) -> None:
        fields = state.model_dump(exclude={"name"})
        try:
            self._client.update_global_concurrency_limit(state.name, GlobalConcurrencyLimitUpdate(**fields))
        except ObjectNotFound:
            self._client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=state.name, **fields))

    def _write_deployment(self, state: DeploymentState) -> None:
        flow, _, name = state.name.partition("/")
        options = state.collision_strategy and ConcurrencyOptions.model_validate(
            {"collision_strategy": state.collision_strategy}
        )
        # POST replaces the whole deployment, its schedules included; PATCH would keep schedules that are gone.
        self._client.create_deployment(
            flow_id=self._client.create_flow_from_name(flow),
            name=name,
            schedules=[DeploymentScheduleCreate.model_validate(one.model_dump()) for one in state.schedules],
            concurrency_options=options or None,
            tags=list(state.tags),
            pull_steps=list(state.pull_steps),
            **state.model_dump(
                include={
                    "version",
                    "concurrency_limit",
                    "parameters",
                    "description",
                    "work_queue_name",
                    "work_pool_name",
                    "path",
                    "entrypoint",
                    "parameter_openapi_schema",
                    "paused",
                    "enforce_parameter_schema",
                    "job_variables",
                }
            ),
        )

    def _automations(self, name: str) -> list[Automation]:
        """All of that name: Prefect doesn't keep names unique."""
        return [automation for automation in self._client.read_automations_by_name(name) if automation.name == name]

    def _write_automation(self, state: AutomationState) -> None:
        core = AutomationCore.model_validate({"name": state.name, **state.definition})
        held = self._automations(state.name)
        if held:
            self._client.update_automation(held[0].id, core)
        else:
            self._client.create_automation(core)
        for double in held[1:]:
            self._client.delete_automation(double.id)


def _deployment_state(name: str, held: DeploymentResponse) -> DeploymentState:
    limit, options = held.global_concurrency_limit, held.concurrency_options
    return DeploymentState(
        name=name,
        entrypoint=held.entrypoint,
        path=held.path,
        pull_steps=tuple(held.pull_steps or ()),
        version=held.version,
        description=held.description,
        tags=tuple(held.tags),
        parameters=held.parameters,
        parameter_openapi_schema=held.parameter_openapi_schema or {},
        enforce_parameter_schema=held.enforce_parameter_schema,
        work_pool_name=held.work_pool_name,
        work_queue_name=held.work_queue_name,
        job_variables=held.job_variables,
        schedules=tuple(sorted(map(_schedule_state, held.schedules), key=lambda one: one.slug or "")),
        concurrency_limit=None if limit is None else limit.limit,
        collision_strategy=None if options is None else options.collision_strategy.value,
        paused=held.paused,
    )


def _schedule_state(held: DeploymentSchedule) -> ScheduleState:
    return ScheduleState(
        slug=held.slug,
        active=held.active,
        schedule=held.schedule.model_dump(mode="json"),
        parameters=held.parameters,
    )
