"""A worker is healthy while it polls and its observer watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import cast

import httpx
import kopf
import pytest
from kopf._cogs.structs.references import Resource
from prefect.exceptions import ObjectNotFound
from prefect_kubernetes import KubernetesWorker

from flows.operator.worker.process import START_SECONDS, WATCHERS, Health, Observer, main, remember_loop, wait_for_pool


@contextmanager
def loop_with(*names: str) -> Iterator[tuple[asyncio.AbstractEventLoop, list[asyncio.Task[bool]]]]:
    """An event loop in a thread of its own, with waiting tasks of these names."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def start() -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(asyncio.Event().wait(), name=name) for name in names]

    async def stop() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield loop, asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=5)
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(timeout=5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        loop.close()


@dataclass(frozen=True)
class Worker:
    """A worker that polls or does not."""

    polls: bool

    def is_worker_still_polling(self, query_interval_seconds: float) -> bool:
        return self.polls


NAMES = ("watcher for pods.v1@taxi-flows", "watcher for jobs.v1.batch@taxi-flows")


def there() -> Event:
    found = Event()
    found.set()
    return found


@pytest.fixture
def observer() -> Iterator[Observer]:
    """An observer that watches."""
    with ExitStack() as stack:
        found = Observer()
        found.loop, _ = stack.enter_context(loop_with(*NAMES, "something else"))
        yield found


def test_an_observer_that_has_not_started_does_not_watch() -> None:
    assert not Observer().watches()


def test_an_observer_watches_while_both_of_its_tasks_run(observer: Observer) -> None:
    assert observer.watches()


@pytest.mark.parametrize("ended", [0, 1])
def test_an_observer_that_lost_a_task_does_not_watch(ended: int) -> None:
    with loop_with(*NAMES) as (loop, tasks):
        observer = Observer()
        observer.loop = loop

        async def end() -> None:
            tasks[ended].cancel()
            await asyncio.wait([tasks[ended]])

        asyncio.run_coroutine_threadsafe(end(), loop).result(timeout=5)
        assert not observer.watches()


@pytest.mark.parametrize("polls", [True, False])
def test_health_is_the_workers_while_it_watches(observer: Observer, polls: bool) -> None:
    assert Health(Worker(polls), observer, there()).is_worker_still_polling(2.0) is polls


def test_a_worker_without_an_observer_is_not_healthy() -> None:
    assert not Health(Worker(polls=True), Observer(), there()).is_worker_still_polling(2.0)


def test_a_worker_that_waits_for_its_pool_is_healthy() -> None:
    """The release waits for its workers before it registers the pools."""
    assert Health(Worker(polls=False), Observer(), Event()).is_worker_still_polling(2.0)


def test_a_pool_is_waited_for_while_the_api_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [
        httpx.ConnectError("refused"),
        ObjectNotFound(Exception("404")),
        httpx.DecodingError("not gzip"),
        ValueError("not JSON"),
        None,
    ]

    class Client:
        async def __aenter__(self) -> Client:
            return self

        async def __aexit__(self, *fault: object) -> None:
            return None

        async def read_work_pool(self, name: str) -> None:
            assert name == "parallel"
            answer = answers.pop(0)
            if answer is not None:
                raise answer

    monkeypatch.setattr("flows.operator.worker.process.get_client", Client)
    asyncio.run(wait_for_pool("parallel", every_seconds=0.0))
    assert answers == []


def test_tasks_are_looked_for_by_the_names_that_kopf_gives() -> None:
    resources = (Resource("", "v1", "pods"), Resource("batch", "v1", "jobs"))
    assert tuple(f"watcher for {resource}@" for resource in resources) == WATCHERS


def test_kopf_calls_back_when_the_observer_starts() -> None:
    handlers = kopf.get_default_registry()._activities.get_all_handlers()
    assert remember_loop in [handler.fn for handler in handlers]


def test_a_worker_wants_one_work_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["flows.operator.worker"])
    with pytest.raises(SystemExit, match=r"usage: python -m flows\.operator\.worker POOL"):
        main()


def test_an_observer_that_is_about_to_start_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker is asked how it is before its observer has begun."""
    observer = Observer()
    health = Health(cast(KubernetesWorker, Worker(polls=True)), observer, there())
    monkeypatch.setattr("flows.operator.worker.process.get_logger", logging.getLogger)
    assert not health.is_worker_still_polling(2.0)
    assert caplog.records == []
    later = time.monotonic() + START_SECONDS + 1
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: later)
        assert not health.is_worker_still_polling(2.0)
    assert [one.levelno for one in caplog.records] == [logging.ERROR]


def test_an_observer_that_stops_is_an_error_at_once(
    observer: Observer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("flows.operator.worker.process.get_logger", logging.getLogger)
    health = Health(cast(KubernetesWorker, Worker(polls=True)), observer, there())
    assert health.is_worker_still_polling(2.0)
    observer.loop = None
    assert not health.is_worker_still_polling(2.0)
    assert [one.levelno for one in caplog.records] == [logging.ERROR]
