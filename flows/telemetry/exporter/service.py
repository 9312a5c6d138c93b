"""The exporter at work: it follows the stream of events, reads what that may have missed, and publishes counts."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.events.clients import get_events_subscriber

from flows.telemetry.exporter.api import ROWS_PER_PAGE, PlatformReader, read_events, stream_filter
from flows.telemetry.exporter.collector import ExporterCollector, Own, registry
from flows.telemetry.exporter.confirm import Pending, by_current_state, by_history
from flows.telemetry.exporter.counts import Counts, State
from flows.telemetry.exporter.events import NONE, RUN_PREFIX, Labels, ended_run
from flows.telemetry.exporter.intake import Intake, happened, plain_text
from flows.telemetry.exporter.state import load_or_rebuild, save
from flows.telemetry.serving import serving

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State as PrefectState

TICK_SECONDS = 1.0
STUCK_AFTER_SECONDS = 60.0
"""Without a tick for so long the exporter is not healthy."""
READ_EVERY_SECONDS = 60.0
READ_AGAIN_SECONDS = 10.0
"""Prefect writes events to its database some seconds late; those of the moment of connecting are read then."""
OVERLAP = timedelta(minutes=2)
WRITTEN_WITHIN = timedelta(seconds=15)
"""Within this time Prefect has written an event to its database."""
EVENTS_ARRIVE_WITHIN = timedelta(seconds=30)
"""A run that ended so long ago and of which no event came: its events are lost, and the run itself is counted."""
PATIENCE = timedelta(minutes=10)
"""For an end of a run whose earlier states the API does not give."""
HISTORIES_AT_ONCE = 10
"""Runs whose earlier states are asked for in one round; the rest waits for the next."""
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)

_log = logging.getLogger("flows.telemetry.exporter")


def serve(port: int, folder: Path, interval_seconds: float) -> None:
    """Export until SIGTERM or Ctrl-C.

    Raises:
        ServingError: the port is taken.
        ExporterError: the folder of counts can't be used.
    """
    asyncio.run(_serve(port, folder, interval_seconds))


async def _serve(port: int, folder: Path, interval_seconds: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with get_client() as client:
        exporter = Exporter(client, folder, interval_seconds)
        with serving(port, registry(exporter.collector), exporter.healthy, exporter.ready) as served:
            _log.info("metrics at http://0.0.0.0:%d/metrics, counts in %s", served, folder)
            await exporter.run(stop)


class Exporter:
    """All parts together. What is served has been saved before, so a restart never goes back behind it."""

    def __init__(self, client: PrefectClient, folder: Path, interval_seconds: float) -> None:
        self._client, self._folder, self._interval_seconds = client, folder, interval_seconds
        self.own = Own()
        self.collector = ExporterCollector(self.own)
        now = datetime.now(UTC)
        self._saved, begin = load_or_rebuild(folder, now)
        self.counts = Counts(self._saved or State(since=begin, position=begin))
        self.collector.state = self._saved
        self._reader = PlatformReader(client)
        self._pending = Pending()
        self._intake = Intake(self.own, self._pending)
        self._known_until = self.counts.position
        self._up_to_date = False
        self._asked_for_success: set[str] = set()
        self._connection = 0
        self._changed = asyncio.Event()
        self._ticked = time.monotonic()

    def healthy(self) -> bool:
        """Whether the loop still turns."""
        return time.monotonic() - self._ticked < STUCK_AFTER_SECONDS

    def ready(self) -> bool:
        """Whether there are counts to show: those of last time, or every known deployment at 0."""
        return self.collector.state is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stop is set."""
        jobs = [
            asyncio.create_task(job)
            for job in (
                self._follow(),
                self._read_for_ever(),
                self._confirm_for_ever(),
                self._poll_for_ever(),
                self._tick_for_ever(),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([*jobs, stopping], return_when=asyncio.FIRST_COMPLETED)
        for job in (*jobs, stopping):
            job.cancel()
        await asyncio.wait([*jobs, stopping])
        self.tick()
        for job in done - {stopping}:
            job.result()

    async def _follow(self) -> None:
        """Take in events as they happen; each break of the connection begins a new one, for ever."""
        failures = 0
        while True:
            connection = asyncio.create_task(self._follow_once())
            try:
                await asyncio.wait({connection})
            finally:
                connection.cancel()
            failures = 0 if self.own.connected else failures + 1
            self._disconnect()
            # Prefect raises a bare Exception where the server goes away during the handshake, so no type tells it.
            fault = "cancelled" if connection.cancelled() else connection.exception() or "closed by the server"
            wait_seconds = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
            _log.warning("the stream of events broke off: %s. Trying again in %g s.", fault, wait_seconds)
            await asyncio.sleep(wait_seconds)

    async def _follow_once(self) -> None:
        async with get_events_subscriber(filter=stream_filter(), reconnection_attempts=0) as events:
            _log.info("following Prefect's events")
            connected_at = datetime.now(UTC)
            self._connect()
            async for event in self._intake.readable(events):
                self._intake.take(event, "stream", self.counts)
                if event.occurred > connected_at and event.event.startswith(RUN_PREFIX):
                    self.own.lag.observe(max(0.0, (datetime.now(UTC) - event.occurred).total_seconds()))

    def _connect(self) -> None:
        self._connection += 1
        self.own.connected = True
        self._changed.set()

    def _disconnect(self) -> None:
        self.own.reconnects += 1
        self.own.connected = False
        self._up_to_date = False

    async def _read_for_ever(self) -> None:
        """Read what the stream may have missed: after each connecting, soon again, and then each minute."""
        while True:
            connection = self._connection if self.own.connected else None
            fresh = not self._up_to_date
            if await self._asking(self._read):
                self._up_to_date = self.own.connected and connection == self._connection
            wait_seconds = READ_AGAIN_SECONDS if fresh or not self._up_to_date else READ_EVERY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_seconds)
            self._changed.clear()

    async def _read(self) -> None:
        begun = datetime.now(UTC)
        since = self.counts.position - OVERLAP
        try:
            newest = await self._read_events(since, begun)
        finally:
            await self._read_ended(since, begun)
        self._known_until = max(self._known_until, begun - WRITTEN_WITHIN)
        self._settle()
        self.counts.advance(newest)
        self.own.last_read = begun

    async def _read_events(self, since: datetime, begun: datetime) -> datetime:
        """Read the events of a span; gives the time of the newest."""
        newest, n_unasked = self.counts.position, 0
        async for event in read_events(self._client, since, begun + OVERLAP, self._unreadable):
            before = len(self._pending)
            self._intake.take(event, "api", self.counts)
            newest = max(newest, min(happened(event) or newest, begun))
            n_unasked += len(self._pending) - before
            if n_unasked >= ROWS_PER_PAGE:
                n_unasked = 0
                await self._confirm()
        await self._confirm()
        return newest

    def _unreadable(self, moment: datetime, error: Exception) -> None:
        self._intake.passed_over("malformed", f"{type(error).__name__}: {error}", f"events of {moment:%Y-%m-%d %H:%M}")

    async def _read_ended(self, since: datetime, begun: datetime) -> None:
        """Count the runs that ended and of which no event came."""
        for run, labels in await self._reader.ended_runs(since, begun - EVENTS_ARRIVE_WITHIN):
            if not self.counts.knows(run.id, run.run_count):
                for seen in ended_run(run, labels):
                    self.counts.observe(seen)

    async def _confirm_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._pending and not await self._asking(self._confirm):
                await asyncio.sleep(READ_AGAIN_SECONDS)

    async def _confirm(self) -> None:
        """Ask Prefect's API about ends that events told of; those that it knows count."""
        claims = self._pending.first(ROWS_PER_PAGE)
        if not claims:
            return
        now, histories = datetime.now(UTC), iter(range(HISTORIES_AT_ONCE))
        runs = await self._reader.runs({claim.end.run for claim in claims})
        for claim in claims:
            run, labels = runs.get(claim.end.run, (None, Labels(NONE)))
            found = None if run is None else by_current_state(claim.end, run, labels)
            patience = timedelta(0)
            if run is not None and found is None:
                if next(histories, None) is None:
                    continue
                states = await self._states(run.id)
                found = by_history(claim.end, run, labels, states or ())
                patience = timedelta(0) if states is not None else PATIENCE
            if found is not None:
                self.counts.observe(found)
            elif now < claim.decide_at + patience:
                continue
            else:
                self._intake.passed_over("unconfirmed", f"{claim.end.status} of {claim.end.run}", str(claim.end.id))
            self._pending.drop(claim)

    async def _states(self, run: UUID) -> list[PrefectState] | None:
        """All states that a run has had; None where the API does not tell."""
        found: list[PrefectState] = []

        async def ask() -> None:
            found.extend(await self._reader.states(run))

        return found if await self._asking(ask) else None

    def _settle(self) -> None:
        self.counts.settle(self._pending.known_until(self._known_until))

    async def _poll_for_ever(self) -> None:
        while True:
            await self._asking(self._poll)
            await asyncio.sleep(self._interval_seconds)

    async def _poll(self) -> None:
        gauges, running = await self._reader.read(datetime.now(UTC))
        self.counts.ensure(one.labels for one in gauges.deployments)
        for one in running:
            self.counts.observe(one)
        for deployment in gauges.deployments:
            if str(deployment.id) not in self._asked_for_success:
                last_success = await self._reader.last_success(deployment.id)
                if last_success is not None:
                    self.counts.succeeded(deployment.labels, last_success)
                self._asked_for_success.add(str(deployment.id))
        self.collector.platform = gauges

    async def _asking(self, ask: Callable[[], Coroutine[None, None, None]]) -> bool:
        """Whether the API answered as it should; where it did not, the next round asks again.

        Prefect's client raises anything where the answer is not Prefect's: a proxy's page, a list of something else.
        """
        asked = asyncio.create_task(ask())
        try:
            await asyncio.wait({asked})
        finally:
            asked.cancel()
        fault = "cancelled" if asked.cancelled() else asked.exception()
        if fault is None:
            return True
        self.own.api_errors += 1
        _log.warning("Prefect's API: %s", plain_text(str(fault)) or type(fault).__name__)
        return False

    async def _tick_for_ever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Count what has had its time, save the counts, and then show them."""
        self._ticked = time.monotonic()
        if self._up_to_date:
            self._known_until = datetime.now(UTC)
        self._settle()
        state = self.counts.state()
        if state == self._saved or (self._saved is None and self.collector.platform is None):
            return
        try:
            save(self._folder, state)
            self._saved = state
        except OSError as error:
            self.own.save_failures += 1
            _log.warning("the counts could not be saved: %s", error)
        self.collector.state = state
