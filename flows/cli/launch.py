"""How a command runs a flow: on the configured Prefect API, or on an embedded one; what it prints goes to stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from flows.cli.common import debugging
from flows.core.errors import PrefectServerError, TaxiFlowsError

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.model.spec import ExperimentSpec

Result = TypeVar("Result")

_PACKAGE = Path(__file__).resolve().parents[1]


def check_prefect(settings: Settings) -> None:
    """Refuse a Prefect API that is configured and does not answer.

    Raises:
        PrefectServerError: with the address and what to do.
    """
    if settings.outside.prefect_api_url is None:
        return
    from flows.cli.checks import check_prefect_api

    check = check_prefect_api(settings)
    if not check.ok:
        raise PrefectServerError(f"{check.found}. {check.mend}")


def launch(load: Callable[[], Callable[[], Result]]) -> Result:
    """Run a flow.

    Args:
        load: imports the flow and the libraries it needs, while the server starts, and gives the call of the flow.
    """
    from flows.cli.embedded import start_prefect_api

    with redirect_stdout(sys.stderr):
        wait_until_up = start_prefect_api(say=lambda message: click.echo(message, err=True))
        call = load()
        _quieten_prefect()
        wait_until_up()
        return call()


def refuse_missing_source(spec: ExperimentSpec) -> None:
    """Look for the data before a server is started for it.

    Raises:
        SourceError: it is not there.
    """
    from flows.core.settings import load_settings
    from flows.datasets.sources import resolve
    from flows.store import open_store

    settings = load_settings()
    with resolve(spec, settings, open_store(settings)):
        pass


def import_libraries(*adapters: str) -> None:
    """Import what the steps need while the server starts; it takes about as long."""
    import flows.steps.evaluate
    import flows.steps.ingest
    import flows.steps.prepare
    import flows.steps.record  # noqa: F401
    from flows.adapters.registry import get_adapter

    _say_when_compiling(adapters)
    for adapter in adapters:
        get_adapter(adapter).load()


def _say_when_compiling(adapters: Sequence[str]) -> None:
    """A first run compiles its kernels; say so, as it takes up to a minute."""
    folder = Path(os.environ["NUMBA_CACHE_DIR"])  # set by flows.kernels
    kernels = ("collapse", "grid_core") if "grid" in adapters else ("collapse",)
    if not all(any(folder.rglob(f"{kernel}.*.nbi")) for kernel in kernels):
        click.echo("Compiling kernels, once per installation: up to a minute ...", err=True)


class _Wanted(logging.Filter):
    """Leaves warnings and what our own tasks print on the console.

    The command says in one line what failed, so Prefect does not repeat it with a traceback. Its API handler has taken
    the record before, so the run's page shows it whole. What a flow prints is its result, which stands on stdout.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return record.name == "prefect.task_runs" and Path(record.pathname).is_relative_to(_PACKAGE)
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, TaxiFlowsError | KeyboardInterrupt):
            return False
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            return not message.startswith(("Finished in state", "Crash"))
        return not message.startswith("Still processing items")  # the last events, on their way at exit


def _quieten_prefect() -> None:
    """Quieten Prefect's console; TAXI_DEBUG or PREFECT_LOGGING_LEVEL brings the rest back."""
    if debugging() or "PREFECT_LOGGING_LEVEL" in os.environ:
        return
    from prefect.logging.handlers import PrefectConsoleHandler

    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.addFilter(_Wanted())
