"""Starts flow runs for the chunks of a sweep, and follows them all with one query.

A chunk's flow run is named by an idempotency key, `<parent run id>-<chunk>-<attempt>`, so that a parent that is started
again begins nothing twice; all runs of a sweep carry its tag, by which a later parent that resumes the sweep finds them
too. What the runs do lies in the object store: nothing is asked of Prefect but their states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from flows.core.errors import DispatchError
from flows.sweeps.chunks import FanOut

POLL_SECONDS = 3.0
PATIENCE_SECONDS = 300.0
"""How long Prefect's API may be away before the parent gives up; its children go on meanwhile."""
_PAGE = 200
_SUGGEST = "suggest"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Chunk:
    """What one flow run is to do: cells of a sweep by the number of their chunk, or None to find eps values.

    is_done: whether there is nothing left to do, as the object store tells.
    """

    number: int | None
    deployment: str
    is_done: Callable[[], bool]

    @property
    def name(self) -> str:
        """As in idempotency keys and names of flow runs."""
        return _SUGGEST if self.number is None else str(self.number)


@dataclass(frozen=True)
class Family:
    """The flow runs of one sweep.

    parent_id: of the flow run that starts them. kind: sweeps or comparisons. sizes: job variables of their pods, where
    those are not as their work pool has them.
    """

    parent_id: UUID
    kind: str
    sweep_id: str
    how: FanOut
    sizes: Mapping[str, str] = field(default_factory=dict)

    def follow(self, chunks: Sequence[Chunk], look: Callable[[], None]) -> dict[str, str]:
        """Have every chunk done, some at a time, and give the reason of each that was not, by its name.

        Args:
            chunks: what is to be done.
            look: called between two queries; shows what is finished already.

        Raises:
            DispatchError: there is no such deployment, or Prefect's API is away for five minutes.
        """
        waiting = {chunk.name: chunk for chunk in chunks}
        failures: dict[str, str] = {}
        while waiting:
            runs = self._runs()
            n_running = 0
            for name, chunk in tuple(waiting.items()):
                verdict = self._judge(chunk, runs.get(name, []))
                if isinstance(verdict, _Wait):
                    n_running += 1
                elif isinstance(verdict, _Start):
                    if n_running < self.how.max_parallel:
                        self._start(chunk, verdict.attempt)
                        n_running += 1
                else:
                    del waiting[name]
                    if verdict.reason is not None:
                        failures[name] = verdict.reason
            look()
            if waiting:
                time.sleep(POLL_SECONDS)
        return failures

    def _judge(self, chunk: Chunk, runs: Sequence[FlowRun]) -> _Wait | _Start | _End:
        """What is to become of a chunk, from its flow runs, the oldest first."""
        if any(_is_under_way(run) for run in runs):
            return _Wait()
        if chunk.is_done():
            return _End()
        own = [run for run in runs if (run.idempotency_key or "").startswith(f"{self.parent_id}-")]
        if not own:
            return _Start(1)
        last = own[-1]
        if last.state_type == StateType.COMPLETED:
            return _End()
        if last.state_type == StateType.CANCELLED or len(own) >= self.how.chunk_attempts:
            return _End(_ending(last, len(own)))
        print(f"chunk {chunk.name}: {_ending(last, len(own))}; starting it again")  # noqa: T201
        return _Start(len(own) + 1)

    def _start(self, chunk: Chunk, attempt: int) -> None:
        name = f"{self.sweep_id}-{chunk.name}-{attempt}"
        _patiently(
            lambda: run_deployment(
                chunk.deployment,
                parameters={"kind": self.kind, "sweep_id": self.sweep_id, "chunk": chunk.number},
                flow_run_name=name,
                tags=[self._tag],
                idempotency_key=f"{self.parent_id}-{chunk.name}-{attempt}",
                job_variables=dict(self.sizes),
                timeout=0,
            ),
            chunk.deployment,
        )
        print(f"chunk {chunk.name}: flow run {name} of {chunk.deployment}")  # noqa: T201

    def _runs(self) -> dict[str, list[FlowRun]]:
        """All flow runs of the sweep by the name of their chunk, the oldest first."""
        with get_client(sync_client=True) as client:
            found = page = self._page(client, 0)
            while len(page) == _PAGE:
                page = self._page(client, len(found))
                found = found + page
        by_name: dict[str, list[FlowRun]] = {}
        for run in sorted(found, key=lambda run: (run.created, run.id)):
            number = run.parameters.get("chunk")
            by_name.setdefault(_SUGGEST if number is None else str(number), []).append(run)
        return by_name

    def _page(self, client: SyncPrefectClient, offset: int) -> list[FlowRun]:
        of_sweep = FlowRunFilter(tags=FlowRunFilterTags(all_=[self._tag]))
        return _patiently(
            lambda: client.read_flow_runs(
                flow_run_filter=of_sweep, sort=FlowRunSort.START_TIME_ASC, limit=_PAGE, offset=offset
            ),
            self._tag,
        )

    @property
    def _tag(self) -> str:
        return f"sweep:{self.sweep_id}"


@dataclass(frozen=True)
class _Wait:
    """A flow run is under way."""


@dataclass(frozen=True)
class _Start:
    """The chunk needs a flow run."""

    attempt: int


@dataclass(frozen=True)
class _End:
    """Nothing more is to be done; the reason where the chunk is not."""

    reason: str | None = None


def _is_under_way(run: FlowRun) -> bool:
    return run.state is None or not run.state.is_final()


def _ending(run: FlowRun, attempt: int) -> str:
    state = run.state
    said = f"{state.name}: {' '.join((state.message or 'no message').split())}" if state is not None else "no state"
    return f"flow run {run.name} (attempt {attempt}) ended {said}"


def _patiently(ask: Callable[[], Answer], about: str) -> Answer:
    """Ask Prefect's API again while it is away.

    Raises:
        DispatchError: it is away for too long, or has no such deployment.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except ObjectNotFound as error:
            raise DispatchError(
                f"no deployment {about}: run `prefect deploy --all` or `taxi-flows platform apply`."
            ) from error
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            away = isinstance(error, httpx.TransportError) or error.response.status_code >= 500
            if not away or time.monotonic() > give_up:
                raise DispatchError(
                    f"Prefect's API does not answer about {about}: {error!r}. What was started runs on; retry this "
                    "flow run, or resume the sweep."
                ) from error
            print(f"Prefect's API is away ({type(error).__name__}): asking again")  # noqa: T201
            time.sleep(POLL_SECONDS)
