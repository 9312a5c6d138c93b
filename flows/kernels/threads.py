"""How many threads the kernels run on, and whether they may run at all, set from outside them.

A parallel kernel that calls `numba.get_num_threads()` is never cached, so each kernel takes the count as an argument
and is called inside `with threads(n_jobs) as n_threads`. The plain function around it is decorated with `@turn()`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numba


class ThreadsRefusedError(RuntimeError):
    """Threads can't be started, or not in this process."""


class _State:
    """What this process knows of numba's threading layer.

    layer: its name, once it is started. lost: whether it was GNU OpenMP in the process that this one was forked from.
    started: the number of threads that each thread which runs kernels was granted.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.layer: str | None = None
        self.lost = False
        self.started = threading.local()


_STATE = _State()


def _after_fork() -> None:
    lost = _STATE.lost or (_STATE.layer == "omp" and sys.platform == "linux")
    _STATE.__init__()  # type: ignore[misc]  # a lock that another thread held is never released here
    _STATE.lost = lost


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def threads(n_jobs: int) -> Iterator[int]:
    """Run kernels on n_jobs threads, and set the former count again at the end.

    Args:
        n_jobs: threads, >= 1; more than numba was started with (NUMBA_NUM_THREADS) are cut down to that.

    Yields:
        The number of threads in force.

    Raises:
        ValueError: n_jobs is below 1.
        ThreadsRefusedError: the threads can't be started.
    """
    if n_jobs < 1:
        raise ValueError(f"n_jobs is {n_jobs}: pass 1 or more threads")
    _start_layer()
    before = numba.get_num_threads()
    n_threads = min(n_jobs, int(numba.config.NUMBA_NUM_THREADS))
    numba.set_num_threads(n_threads)
    try:
        yield n_threads
    finally:
        numba.set_num_threads(before)


@contextmanager
def turn() -> Iterator[None]:
    """Let parallel kernels run while it lasts; one thread at a time where numba's layer would abort otherwise.

    numba's `workqueue` layer, its last resort where neither OpenMP nor TBB is there, ends the process when two threads
    run parallel kernels at once.

    Raises:
        ThreadsRefusedError: the threads can't be started.
    """
    layer = _start_layer()
    with _STATE.lock if layer == "workqueue" else nullcontext():
        yield


def _start_layer() -> str:
    """Start numba's threading layer, once per process, when the system grants its threads; give its name."""
    if _STATE.lost:
        raise ThreadsRefusedError(
            "this process was forked from one that had run kernels, and GNU OpenMP can't go on after that. Start "
            "processes with multiprocessing.get_context('spawn'), or set NUMBA_THREADING_LAYER=workqueue."
        )
    n_threads = int(numba.config.NUMBA_NUM_THREADS) if _STATE.layer is None else int(numba.get_num_threads())
    if n_threads > getattr(_STATE.started, "n_threads", 0):
        _try_threads(n_threads)
        _STATE.started.n_threads = n_threads  # OpenMP keeps threads for each thread that runs kernels
    if _STATE.layer is None:
        numba.get_num_threads()
        _STATE.layer = numba.threading_layer()
    return _STATE.layer


def _try_threads(n_threads: int) -> None:
    """Start as many threads as kernels will: OpenMP ends the process, and workqueue waits for ever, where it can't."""
    end = threading.Event()
    tried = [threading.Thread(target=end.wait, daemon=True) for _ in range(n_threads - 1)]
    started = []
    try:
        for thread in tried:
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError) as error:
        raise ThreadsRefusedError(
            f"{n_threads} threads can't be started here ({error or 'no memory'}). Raise the limits of processes "
            "(ulimit -u) and of memory (ulimit -v), or set NUMBA_NUM_THREADS to a smaller number."
        ) from error
    finally:
        end.set()
        for thread in started:
            thread.join()
