"""A work pool's worker whose health also tells whether its observer lives: `python -m flows.worker POOL`.

The worker of prefect-kubernetes watches the pods and Jobs of runs in a thread of its own, the observer; it alone
notices that a pod was killed. Where the API refuses it for a minute it stops watching for good. Neither its thread nor the
worker's own check shows that: the thread hangs in its shutdown. So the health check looks for the observer's tasks.
"""

from __future__ import annotations

import asyncio
import os
import sys

import kopf
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect_kubernetes import KubernetesWorker

WATCHERS = ("watcher for pods.v1@", "watcher for jobs.v1.batch@")
"""How kopf names the tasks that the observer lives by."""


class Observer:
    """The event loop of the observer's thread, once it runs."""

    loop: asyncio.AbstractEventLoop | None = None

    def watches(self) -> bool:
        """Whether pods and Jobs are watched."""
        if self.loop is None:
            return False
        names = [task.get_name() for task in asyncio.all_tasks(self.loop)]
        return all(any(name.startswith(watcher) for name in names) for watcher in WATCHERS)


observer = Observer()


@kopf.on.startup()
async def remember_loop(**_: object) -> None:
    """Called by kopf in the observer's thread before it watches anything."""
    observer.loop = asyncio.get_running_loop()


class ObservedWorker(KubernetesWorker):  # type: ignore[misc]  # it has no type hints to offer
    """Prefect's worker; it is healthy while it polls and its observer watches."""

    def is_worker_still_polling(self, query_interval_seconds: float) -> bool:
        """What /health answers by."""
        polls = super().is_worker_still_polling(query_interval_seconds)
        watches = observer.watches()
        if not watches:
            self._logger.error("Pods and Jobs are not watched, so a run whose pod is killed would not be noticed.")
        return polls and watches


async def work(pool: str) -> None:
    """Serve a work pool until a signal comes. A pool that does not exist yet is waited for: registration makes it."""
    worker = ObservedWorker(name=f"worker-{pool}", work_pool_name=pool, create_pool_if_not_found=False)
    setup_signal_handlers_worker(os.getpid(), f"the worker of {pool}", print)
    await worker.start(with_healthcheck=True)


def main() -> None:
    """Serve the work pool that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m flows.worker POOL")
    try:
        asyncio.run(work(sys.argv[1]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"The worker of {sys.argv[1]} has stopped.", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
