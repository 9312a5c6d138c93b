"""Where tiles are worked on: joblib's threads in this process, or the Dask workers of TAXI_DASK_SCHEDULER."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from flows.adapters.tiles import Patch
from flows.core.errors import DaskError, SettingsError
from flows.core.settings import load_settings

_Result = TypeVar("_Result")

_CONNECT_SECONDS = 10


def in_workers(
    work: Callable[[Patch], _Result], patches: Iterator[Patch], n_patches: int, n_jobs: int
) -> list[_Result]:
    """Results in order. A single patch is worked on here: nothing is sent, no worker is started.

    Raises:
        DaskError: the Dask scheduler does not answer or has no workers.
        SettingsError: a Dask scheduler is named, but `distributed` is not installed.
    """
    if n_patches == 1:
        return [work(patch) for patch in patches]
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    task = delayed(partial(_alone, work, _this_process()))
    with threadpool_limits(limits=1), _dask(load_settings().dask_scheduler):
        # Patches are sent, not mapped from a file: what waits is bounded, and a read-only or small /dev/shm does no
        # harm. pre_dispatch as text counts the backend's workers, which may be more than n_jobs.
        workers = Parallel(n_jobs, prefer="threads", max_nbytes=None, batch_size=1, pre_dispatch="2*n_jobs")
        results: list[_Result] = workers(task(patch) for patch in patches)
    return results


@contextmanager
def _dask(address: str | None) -> Iterator[None]:
    """Make the workers of the scheduler joblib's while it lasts; without an address change nothing."""
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingsError(
            f"TAXI_DASK_SCHEDULER={address!r}, but Dask is not installed here: "
            "pip install 'taxi-flows[dask]', or unset the variable."
        ) from error
    from joblib import parallel_config

    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DaskError(
            f"no Dask scheduler answers at TAXI_DASK_SCHEDULER={address!r} ({error}). "
            "Start one with `dask scheduler`, mend the address, or unset the variable."
        ) from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise DaskError(
                f"the Dask scheduler at {address!r} has no workers. Start some with `dask worker {address}`, "
                "where the same version of Taxi Flows is installed, or unset TAXI_DASK_SCHEDULER."
            )
        with parallel_config(backend="dask", client=client):
            yield


def _this_process() -> tuple[str, int]:
    """Process ids alone don't tell processes apart: each pod has its own number 1."""
    return platform.node(), os.getpid()


def _alone(work: Callable[[Patch], _Result], caller: tuple[str, int], patch: Patch) -> _Result:
    """Keep a worker from starting threads of its own.

    OpenMP's limit belongs to a thread, BLAS's to the process: in the caller's process the caller has set the latter.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="openmp" if _this_process() == caller else None):
        return work(patch)
