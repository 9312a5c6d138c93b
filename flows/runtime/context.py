"""What one flow run works with: its parameters, settings, store, files and zone table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.core.limits import n_jobs
from flows.core.progress import Progress, terminal_progress
from flows.core.refusals import refusals_told
from flows.core.settings import Settings, load_settings
from flows.datasets.sources import resolve, zone_table_or_fault
from flows.model.points import SourceFile
from flows.model.spec import ExperimentSpec
from flows.records.storage import check_takes_records
from flows.runtime.restarts import restartable
from flows.store import ObjectStore, open_store

if TYPE_CHECKING:
    from flows.core.errors import ZoneTableError
    from flows.datasets.zones import ZoneTable


class KernelLoading:
    """Imports libraries and loads compiled kernels in the background, while files are fetched and checked."""

    def __init__(self, load: Callable[[], None]) -> None:
        self._load, self._seconds = load, 0.0
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load-kernels", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        started = time.perf_counter()
        try:
            self._load()
        except BaseException as fault:  # noqa: BLE001  (raised again by `wait`, in the thread that needs the kernels)
            self._fault = fault
        self._seconds = time.perf_counter() - started

    def wait(self) -> float:
        """Wait until all is loaded; give the seconds that loading took. No kernel may run before.

        Raises what loading raised, such as MemoryError.
        """
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        return self._seconds


@dataclass(frozen=True)
class Run:
    """One run of one experiment; `files` are readable while `open_run` lasts.

    zone_fault: why there are no zones, where a table is there that can't be read; only trips without coordinates need
    it.
    """

    flow: str
    flow_run_id: str | None
    spec: ExperimentSpec
    settings: Settings
    store: ObjectStore
    files: tuple[SourceFile, ...]
    zones: ZoneTable | None
    n_jobs: int
    progress: Progress
    kernels: KernelLoading
    zone_fault: ZoneTableError | None = None


@contextmanager
def open_run(
    flow: str,
    flow_run_id: str | None,
    spec: ExperimentSpec,
    judges: bool,
    adapters: Sequence[str] = (),
    records: bool = True,
) -> Iterator[Run]:
    """Read the settings, open the store and bring the data source within reach.

    Args:
        flow: name of the flow.
        flow_run_id: of Prefect.
        spec: what to cluster and how.
        judges: whether quality is computed too, so that its kernels are loaded meanwhile.
        adapters: those to load, where it is not the one of the spec.
        records: whether it leaves a record, so that the store must take one.

    Raises:
        RestartedTooOften: the flow run was started more often than it may be.
        SettingsError: an environment variable is wrong.
        SourceNotFoundError: the data source is not there.
        StoreError: the store would not take the record.
        OutOfMemoryError: the system refused memory, here or in the block.
        ThreadsError: the system refused threads.
    """
    with restartable(), refusals_told(), _opened(flow, flow_run_id, spec, judges, adapters) as run:
        if records:
            check_takes_records(run.store, run.settings)
        yield run


@contextmanager
def _opened(
    flow: str, flow_run_id: str | None, spec: ExperimentSpec, judges: bool, adapters: Sequence[str]
) -> Iterator[Run]:
    settings = load_settings()
    store = open_store(settings)
    kernels = KernelLoading(lambda: _load_kernels(adapters or (spec.adapter_type,), judges))
    zones, zone_fault = zone_table_or_fault(settings, store)
    with resolve(spec, settings, store) as files:
        yield Run(
            flow=flow,
            flow_run_id=flow_run_id,
            spec=spec,
            settings=settings,
            store=store,
            files=files,
            zones=zones,
            n_jobs=n_jobs(None, settings),
            progress=terminal_progress(),
            kernels=kernels,
            zone_fault=zone_fault,
        )


def _load_kernels(adapters: Sequence[str], judges: bool) -> None:
    from flows.adapters.registry import get_adapter
    from flows.kernels import collapse, locate

    collapse.warm_up()
    locate.warm_up()
    for adapter in adapters:
        get_adapter(adapter).load()
    if judges:
        from flows.steps.evaluate import load_kernels

        load_kernels()
