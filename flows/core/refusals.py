"""What the system refuses while work goes on, memory and threads, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.core.errors import OutOfMemoryError, TaxiFlowsError, ThreadsError

_NO_THREAD = "can't start new thread"
"""What Python's RuntimeError says."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn what the block raises where memory or a thread is refused into errors of ours.

    Raises:
        OutOfMemoryError: for a MemoryError, of Python, NumPy or Arrow.
        ThreadsError: for threads that can't be started.
    """
    try:
        yield
    except TaxiFlowsError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(
            f"the system refused memory{f' ({error})' if str(error) else ''}: nothing was recorded. Raise the limit "
            "(ulimit -v, the container's memory), or cluster fewer points (max_samples)."
        ) from error
    except RuntimeError as error:
        if str(error) == _NO_THREAD:
            raise ThreadsError(f"{error}: raise the limits of processes (ulimit -u) and memory (ulimit -v).") from error
        if type(error).__name__ == "ThreadsRefusedError":  # of flows.kernels, which is imported only where it is used
            raise ThreadsError(str(error)) from error
        raise
