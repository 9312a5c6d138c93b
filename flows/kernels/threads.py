"""How many threads the kernels run on, set from outside them.

A parallel kernel that calls `numba.get_num_threads()` is never cached, so each kernel takes the count as an argument
and is called inside `with threads(n_jobs) as n_threads`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba


@contextmanager
def threads(n_jobs: int) -> Iterator[int]:
    """Run kernels on n_jobs threads, and set the former count again at the end.

    Args:
        n_jobs: threads, >= 1; more than numba was started with (NUMBA_NUM_THREADS) are cut down to that.

    Yields:
        The number of threads in force.

    Raises:
        ValueError: n_jobs is below 1.
    """
    if n_jobs < 1:
        raise ValueError(f"n_jobs is {n_jobs}: pass 1 or more threads")
    before = numba.get_num_threads()
    n_threads = min(n_jobs, int(numba.config.NUMBA_NUM_THREADS))
    numba.set_num_threads(n_threads)
    try:
        yield n_threads
    finally:
        numba.set_num_threads(before)
