"""A flow run whose pod was deleted or drained starts again, and how often; Prefect itself sets no bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

MOST_STARTS = 3
"""The first one, and two more."""


class RestartedTooOften(BaseException):
    """The flow run was started more often than it may be; no `Exception`, since Prefect calls such a run Failed."""


@contextmanager
def restartable() -> Iterator[None]:
    """Around all that a flow run does: ended as Crashed where it was started too often, before it does anything.

    Raises:
        RestartedTooOften: with what to do; outside a flow run never.
        TerminationSignal: the pod is to go. While Prefect makes a task run it answers the signal with an error of its
            own (`handle_crash` in prefect/task_engine.py reads a task run that is not there yet), and an error would
            end the flow run as Failed.
    """
    _refuse_more_restarts()
    try:
        yield
    except Exception as error:
        signal = _termination(error)
        if signal is None:
            raise
        raise signal from error


def _termination(error: BaseException) -> TerminationSignal | None:
    """The signal in whose handling the error came up, if one did."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, TerminationSignal):
        found = found.__context__
    return found


def _refuse_more_restarts() -> None:
    if flow_run.run_count > MOST_STARTS:
        raise RestartedTooOften(
            f"this is start {flow_run.run_count} of the flow run, {MOST_STARTS} are allowed: its pod was deleted or "
            "evicted again and again. See `kubectl get events`; then start a new run, or resume the sweep."
        )
