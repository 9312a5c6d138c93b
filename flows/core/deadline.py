"""A bound on the time of work that has none of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, work: Callable[[], Answer]) -> Answer:
    """What the work returns or raises, waited for so long at most.

    A socket's timeout starts anew with each byte, and a look-up of a name has none; so the work has a thread of its
    own, which is left alone when the time is over and does not keep the process from ending.

    Raises:
        TimeoutError: the time is over.
    """
    done: Future[Answer] = Future()
    threading.Thread(target=_run, args=(work, done), name="deadline", daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError as error:
        if done.done():
            raise
        raise TimeoutError(f"no answer within {seconds:.3g} s") from error


def _run(work: Callable[[], Answer], done: Future[Answer]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001  # raised by whoever waits
        done.set_exception(error)
