"""What the exporter reads from Prefect's API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventOrder,
    EventResourceFilter,
)
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import PrefectHTTPStatusError

from flows.telemetry.exporter.events import (
    DIAGNOSIS_LABEL,
    FAILED_POD_NAMES,
    HEARTBEAT,
    NONE,
    POD_PREFIX,
    RUN_PREFIX,
    Labels,
    RunStarted,
    label,
    plain,
)
from flows.telemetry.exporter.platform import DeploymentFacts, Platform, PoolFacts, RunFacts, platform

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State, WorkPool, WorkQueue
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.events import Event

EVENTS_PER_PAGE = 50
"""The most that the API gives at once."""
ROWS_PER_PAGE = 200
MAX_PAGES = 10
MAX_PAGES_OF_ENDED = 500
"""Of runs that ended since the last reading; more only comes from a server that gives the same rows again."""
ANSWER_WITHIN_SECONDS = 60.0
SHORTEST_SPAN = timedelta(seconds=1)
MOST_ODD_ANSWERS = 60
"""In one reading: about 20 find the odd moment of a week."""
LATE_AFTER = timedelta(seconds=15)
"""How long a run may be due before it is late; Prefect marks runs after the same time."""
POD_EVENTS_BACK = timedelta(hours=1)
"""A pod's event bears the time when the pod's phase began, not when it was diagnosed."""

_FINAL = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
_BUSY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]

_ODD_ANSWERS = (ValueError, TypeError, LookupError, AttributeError, RecursionError, PrefectHTTPStatusError)
"""What Prefect's client raises at an answer that is not Prefect's, or is a fault of its own."""

Row = TypeVar("Row")
Answer = TypeVar("Answer")


def stream_filter() -> EventFilter:
    """What to subscribe to."""
    return EventFilter(event=EventNameFilter(prefix=[RUN_PREFIX, POD_PREFIX], exclude_name=[HEARTBEAT]))


def _run_events() -> EventFilter:
    return EventFilter(event=EventNameFilter(prefix=[RUN_PREFIX, *FAILED_POD_NAMES], exclude_name=[HEARTBEAT]))


def _pod_events() -> EventFilter:
    labelled = EventResourceFilter(labels=ResourceSpecification({DIAGNOSIS_LABEL: "*"}))
    return EventFilter(event=EventNameFilter(prefix=[POD_PREFIX]), resource=labelled)


async def read_events(
    client: PrefectClient, since: datetime, until: datetime, passed_over: Callable[[datetime, Exception], None]
) -> AsyncIterator[Event]:
    """Every event of runs and failed pods in a span of time, however many pages they fill.

    Where an answer can't be read, the span is halved until the moment is found that makes it so; that one is passed
    over, and told by its time and what is wrong.

    Raises:
        Exception: Prefect's client raises what it likes. The API is away, or too many of its answers can't be read.
    """
    budget = count(1)
    for wanted, begin in ((_run_events(), since), (_pod_events(), since - POD_EVENTS_BACK)):
        spans = [(begin, until)]
        while spans:
            first, last = spans.pop()
            try:
                async for event in _pages(client, _within(wanted, first, last)):
                    yield event
            except _ODD_ANSWERS as error:
                if not _of_the_answer(error) or next(budget) > MOST_ODD_ANSWERS:
                    raise
                if last - first <= SHORTEST_SPAN:
                    passed_over(first, error)
                else:
                    middle = first + (last - first) / 2
                    spans += [(middle, last), (first, middle)]


async def _pages(client: PrefectClient, wanted: EventFilter) -> AsyncIterator[Event]:
    page = await _soon(client.read_events(wanted, limit=EVENTS_PER_PAGE))
    while True:
        for event in page.events:
            yield event
        if page.next_page is None:
            return
        before, page = page.next_page, await _soon(client.read_events_page(str(page.next_page)))
        if page.next_page == before:
            raise ValueError("a page of events leads to itself")


def _within(wanted: EventFilter, since: datetime, until: datetime) -> EventFilter:
    occurred = EventOccurredFilter(since=since, until=until)
    return wanted.model_copy(update={"occurred": occurred, "order": EventOrder.ASC})


def _of_the_answer(error: Exception) -> bool:
    """Whether what was asked for makes the answer fail, and not the server's being away."""
    return not isinstance(error, PrefectHTTPStatusError) or error.response.status_code in (422, 500)


async def _soon(answer: Awaitable[Answer]) -> Answer:
    """An answer of Prefect, however it drips and whatever pause the server asks Prefect's client for.

    Raises:
        TimeoutError: it takes too long.
    """
    async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
        return await answer


class PlatformReader:
    """Reads how Prefect stands; names of flows are asked for once."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._flow_names: dict[UUID, str] = {}
        self._deployment_names: dict[UUID, str] = {}

    async def read(self, now: datetime) -> tuple[Platform, tuple[RunStarted, ...]]:
        """The gauges, and which attempts are running."""
        deployments, pools, queues, busy, due = await asyncio.gather(
            _all(lambda offset: self._client.read_deployments(limit=ROWS_PER_PAGE, offset=offset)),
            _all(lambda offset: self._client.read_work_pools(limit=ROWS_PER_PAGE, offset=offset)),
            _all(lambda offset: self._client.read_work_queues(limit=ROWS_PER_PAGE, offset=offset)),
            self._runs(FlowRunFilter(state=_in(_BUSY))),
            self._runs(_due_before(now - LATE_AFTER)),
        )
        await self._learn({one.flow_id for one in deployments} | {run.flow_id for run in [*busy, *due]})
        self._deployment_names.update((one.id, label(one.name)) for one in deployments)
        gauges = platform(
            now,
            tuple(self._deployment(one, now) for one in deployments),
            tuple(_pool(one, queues, now) for one in pools),
            tuple(self._run(one) for one in busy),
            tuple(self._run(one) for one in due),
        )
        return gauges, tuple(started for run in busy for started in _started(run))

    async def ended_runs(self, since: datetime, until: datetime) -> list[tuple[FlowRun, Labels]]:
        """The runs that ended in a span of time, with the labels that they count under."""
        window = FlowRunFilterEndTime(after_=since, before_=until)
        runs = await self._runs(FlowRunFilter(state=_in(_FINAL), end_time=window), MAX_PAGES_OF_ENDED)
        return await self._labelled(runs)

    async def runs(self, ids: Iterable[UUID]) -> dict[UUID, tuple[FlowRun, Labels]]:
        """The flow runs of these ids that there are, with the labels that they count under."""
        found = await self._runs(FlowRunFilter(id=FlowRunFilterId(any_=sorted(ids))), 1)
        return {run.id: (run, labels) for run, labels in await self._labelled(found)}

    async def states(self, run: UUID) -> list[State]:
        """Every state that a flow run has had."""
        return await _soon(self._client.read_flow_run_states(run))

    async def _labelled(self, runs: list[FlowRun]) -> list[tuple[FlowRun, Labels]]:
        await self._learn({run.flow_id for run in runs})
        await self._learn_deployments({run.deployment_id for run in runs if run.deployment_id is not None})
        return [(run, self._labels(run)) for run in runs]

    async def last_success(self, deployment: UUID) -> datetime | None:
        """When a run of the deployment last succeeded, as far back as Prefect keeps runs."""
        runs = await _soon(
            self._client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
                flow_run_filter=FlowRunFilter(state=_in([StateType.COMPLETED])),
                sort=FlowRunSort.END_TIME_DESC,
                limit=1,
            )
        )
        return plain(runs[0].end_time) if runs and runs[0].end_time else None

    async def _runs(self, wanted: FlowRunFilter, pages: int = MAX_PAGES) -> list[FlowRun]:
        return await _all(
            lambda offset: self._client.read_flow_runs(flow_run_filter=wanted, limit=ROWS_PER_PAGE, offset=offset),
            pages,
        )

    async def _learn(self, flows: set[UUID]) -> None:
        for ids in _chunks(flows - set(self._flow_names)):
            found = await _soon(self._client.read_flows(flow_filter=FlowFilter(id=FlowFilterId(any_=ids))))
            self._flow_names.update((one.id, label(one.name)) for one in found)

    async def _learn_deployments(self, deployments: set[UUID]) -> None:
        for ids in _chunks(deployments - set(self._deployment_names)):
            wanted = DeploymentFilter(id=DeploymentFilterId(any_=ids))
            found = await _soon(self._client.read_deployments(deployment_filter=wanted))
            self._deployment_names.update((one.id, label(one.name)) for one in found)

    def _flow(self, flow: UUID) -> str:
        return self._flow_names.get(flow, NONE)

    def _labels(self, run: FlowRun) -> Labels:
        deployment = NONE if run.deployment_id is None else self._deployment_names.get(run.deployment_id, NONE)
        return Labels(self._flow(run.flow_id), deployment, label(run.work_pool_name))

    def _deployment(self, one: DeploymentResponse, now: datetime) -> DeploymentFacts:
        labels = Labels(self._flow(one.flow_id), label(one.name), label(one.work_pool_name))
        limit = one.global_concurrency_limit
        slots = limit.limit if limit is not None and limit.active else None
        return DeploymentFacts(one.id, labels, plain(one.created or now), slots)

    def _run(self, run: FlowRun) -> RunFacts:
        running = run.state if run.state is not None and run.state.is_running() else None
        return RunFacts(
            flow_name=self._flow(run.flow_id),
            deployment=run.deployment_id,
            work_pool=run.work_pool_name,
            state_name=run.state_name or "",
            running_since=plain(running.timestamp) if running is not None else None,
        )


async def _all(read: Callable[[int], Awaitable[list[Row]]], pages: int = MAX_PAGES) -> list[Row]:
    """All pages, up to a bound: beyond it, the number of runs that wait is news enough."""
    rows: list[Row] = []
    for page in range(pages):
        found = await _soon(read(page * ROWS_PER_PAGE))
        rows += found
        if len(found) < ROWS_PER_PAGE:
            break
    return rows


def _chunks(ids: set[UUID]) -> Iterator[list[UUID]]:
    ordered = sorted(ids)
    for first in range(0, len(ordered), ROWS_PER_PAGE):
        yield ordered[first : first + ROWS_PER_PAGE]


def _in(types: list[StateType]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=types))


def _due_before(moment: datetime) -> FlowRunFilter:
    scheduled = FlowRunFilterNextScheduledStartTime(before_=moment)
    return FlowRunFilter(state=_in([StateType.SCHEDULED]), next_scheduled_start_time=scheduled)


def _pool(pool: WorkPool, queues: Iterable[WorkQueue], now: datetime) -> PoolFacts:
    polls = [one.last_polled for one in queues if one.work_pool_name == pool.name and one.last_polled is not None]
    last_polled = max(polls, default=pool.created or now)
    return PoolFacts(pool.name, pool.is_paused, pool.concurrency_limit, plain(last_polled))


def _started(run: FlowRun) -> tuple[RunStarted, ...]:
    if run.state is None or not run.state.is_running():
        return ()
    return (RunStarted(run.id, run.run_count, plain(run.state.timestamp)),)
