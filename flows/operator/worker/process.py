"""A work pool's worker whose health also tells whether its observer lives: `python -m flows.operator.worker POOL`.

The worker of prefect-kubernetes watches the pods and Jobs of runs in a thread of its own, the observer; it alone
notices that a pod was killed. Where the API refuses it for a minute it stops for good, and Prefect's own check goes on
to answer well. So the check here looks for the tasks that the observer lives by. Its Jobs are those of
`flows.operator.worker.job`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from dataclasses import dataclass

import httpx
import kopf
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.logging import get_logger
from prefect.settings import PREFECT_WORKER_QUERY_SECONDS
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect.workers.server import start_healthcheck_server
from prefect_kubernetes import KubernetesWorker

import flows.operator.worker.refused_pods  # noqa: F401  # its handler is called by the observer
from flows.operator.worker.job import FlowRunJob

WATCHERS = ("watcher for pods.v1@", "watcher for jobs.v1.batch@")
"""How kopf names those tasks."""

START_SECONDS = 60.0
"""From the first question after its pool is there; a pod that takes as long has been restarted."""


class Observer:
    """The event loop of the observer's thread, once it runs."""

    loop: asyncio.AbstractEventLoop | None = None
    asked_at: float | None = None
    """When it was first asked, by the monotonic clock."""
    has_watched = False

    def watches(self) -> bool:
        """Whether pods and Jobs are watched."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
        if self.loop is None:
            return False
        names = [task.get_name() for task in asyncio.all_tasks(self.loop)]
        found = all(any(name.startswith(watcher) for name in names) for watcher in WATCHERS)
        self.has_watched = self.has_watched or found
        return found

    def is_late(self) -> bool:
        """Whether it should watch by now: it starts after the worker, and takes its time."""
        since = time.monotonic() if self.asked_at is None else self.asked_at
        return self.has_watched or time.monotonic() - since > START_SECONDS


observer = Observer()


@kopf.on.startup()
async def remember_loop(**_: object) -> None:
    """Called by kopf in the observer's thread before it watches anything."""
    observer.loop = asyncio.get_running_loop()


@dataclass(frozen=True)
class Health:
    """What /health answers by, in the shape that Prefect's own server of it asks for."""

    worker: KubernetesWorker
    observer: Observer
    pool_is_there: threading.Event

    def is_worker_still_polling(self, query_interval_seconds: float) -> bool:
        """Whether the worker polls and its observer watches; before its pool is there it has nothing to poll."""
        if not self.pool_is_there.is_set():
            return True
        if not self.observer.watches():
            if self.observer.is_late():
                get_logger("flows.operator.worker").error(
                    "Pods and Jobs are not watched: a killed pod would go unnoticed."
                )
            return False
        return bool(self.worker.is_worker_still_polling(query_interval_seconds))


async def work(pool: str) -> None:
    """Serve a work pool until a signal comes."""
    worker = KubernetesWorker(name=f"worker-{pool}", work_pool_name=pool, create_pool_if_not_found=False)
    worker.job_configuration = FlowRunJob
    pool_is_there = threading.Event()
    health = (Health(worker, observer, pool_is_there), PREFECT_WORKER_QUERY_SECONDS.value())
    threading.Thread(target=start_healthcheck_server, args=health, daemon=True).start()
    setup_signal_handlers_worker(os.getpid(), f"the worker of {pool}", print)
    await wait_for_pool(pool, PREFECT_WORKER_QUERY_SECONDS.value())
    pool_is_there.set()
    await worker.start()


async def wait_for_pool(pool: str, every_seconds: float) -> None:
    """Wait until the work pool exists: registration makes it after the workers have started.

    A worker that starts without its pool polls as soon as it is there, but its channel to the server stays closed for
    good, and with it the way by which Jobs of cancelled runs are deleted.
    """
    async with get_client() as client:
        while True:
            try:
                await client.read_work_pool(pool)
                return
            except ObjectNotFound:
                get_logger("flows.operator.worker").info("waiting for the work pool %s", pool)
            except (httpx.HTTPError, httpx.InvalidURL, PrefectException, ValueError, TypeError, LookupError) as error:
                # Whatever it answered, the next answer may do; a worker that ends here only starts again.
                get_logger("flows.operator.worker").warning(
                    "Prefect's API does not answer as it should (%r): asking again", error
                )
            await asyncio.sleep(every_seconds)


def main() -> None:
    """Serve the work pool that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m flows.operator.worker POOL")
    try:
        asyncio.run(work(sys.argv[1]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"The worker of {sys.argv[1]} has stopped.", flush=True)  # noqa: T201
