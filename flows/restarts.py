"""How often a flow run may be started. Prefect starts a run again whose pod was deleted or drained, without a bound."""

from __future__ import annotations

from prefect.runtime import flow_run

MOST_STARTS = 3
"""The first one, and two more."""


class RestartedTooOften(BaseException):
    """The flow run was started more often than it may be; no `Exception`, since Prefect calls such a run Failed."""


def refuse_more_restarts() -> None:
    """End this flow run as Crashed where it was started too often, before it does anything.

    Raises:
        RestartedTooOften: with what to do; outside a flow run never.
    """
    if flow_run.run_count > MOST_STARTS:
        raise RestartedTooOften(
            f"this is start {flow_run.run_count} of the flow run, {MOST_STARTS} are allowed: its pod was deleted or "
            "evicted again and again. See `kubectl get events`; then start a new run, or resume the sweep."
        )
