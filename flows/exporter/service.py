"""The exporter at work: it follows the stream of events, reads what that may have missed, and publishes counts."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.events.clients import get_events_subscriber
from prefect.exceptions import PrefectException

from flows.exporter.api import PlatformReader, read_events, stream_filter
from flows.exporter.collector import EventSource, ExporterCollector, Own, registry
from flows.exporter.counts import Counts, State
from flows.exporter.events import RUN_PREFIX, ended_run, parse, plain
from flows.exporter.state import load, save
from flows.serving import serving

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.events import Event

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
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)

_log = logging.getLogger("flows.exporter")


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
        self._saved = load(folder)
        self.counts = Counts(self._saved or State(since=now, position=now))
        self.collector.state = self._saved
        self._reader = PlatformReader(client)
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
            for job in (self._follow(), self._read_for_ever(), self._poll_for_ever(), self._tick_for_ever())
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
            async for event in events:
                self._take(event, "stream")
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

    def _take(self, event: Event, source: EventSource) -> None:
        self.own.events[source] += 1
        seen = parse(event)
        if seen is not None:
            self.counts.observe(seen)

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
        since, newest = self.counts.position - OVERLAP, self.counts.position
        async for event in read_events(self._client, since, begun + OVERLAP):
            self._take(event, "api")
            newest = max(newest, min(plain(event.occurred), begun))
        for run, labels in await self._reader.ended_runs(since, begun - EVENTS_ARRIVE_WITHIN):
            if not self.counts.knows(run.id, run.run_count):
                for seen in ended_run(run, labels):
                    self.counts.observe(seen)
        self._known_until = max(self._known_until, begun - WRITTEN_WITHIN)
        self.counts.settle(self._known_until)
        self.counts.advance(newest)

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

    async def _asking(self, ask: Callable[[], Awaitable[None]]) -> bool:
        """Whether the API answered; where it did not, the next round asks again."""
        try:
            await ask()
        except (httpx.HTTPError, OSError, PrefectException, ValueError) as error:  # ValueError: no JSON of Prefect
            self.own.api_errors += 1
            _log.warning("Prefect's API: %s", str(error) or type(error).__name__)
            return False
        return True

    async def _tick_for_ever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Count what has had its time, save the counts, and then show them."""
        self._ticked = time.monotonic()
        if self._up_to_date:
            self._known_until = datetime.now(UTC)
        self.counts.settle(self._known_until)
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
