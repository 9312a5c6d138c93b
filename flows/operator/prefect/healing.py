"""The reconciliation in a loop. Each pass is what `taxi-flows platform apply` does."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from flows.core.errors import ClusterError, DeclarationError, PlatformError
from flows.operator.cluster.kube import Reference
from flows.operator.prefect.api import post_passed
from flows.operator.prefect.platform import Platform, reconcile
from flows.operator.prefect.reconcile import Action, Change
from flows.operator.prefect.release import PLATFORM_CONFIG_MAP
from flows.operator.telemetry import Telemetry

EVERY_SECONDS = 60.0
FRESH_SECONDS = 4 * EVERY_SECONDS
"""After so long without a pass that succeeded the operator is not ready."""
_WAIT_FOR_API_SECONDS = 10.0
_HEALED = {Action.CREATE, Action.UPDATE, Action.DELETE}

_log = logging.getLogger("flows.operator")


class Healing:
    """Brings the server to what is declared, again and again, and says what it had to heal.

    Args:
        platform: where declarations, values and inventory come from.
        telemetry: told of each pass.
    """

    def __init__(self, platform: Platform, telemetry: Telemetry) -> None:
        self._platform, self._telemetry = platform, telemetry
        self._succeeded_at: float | None = None
        self._last_fault = ""

    def ready(self) -> bool:
        """Whether a pass succeeded not long ago."""
        return self._succeeded_at is not None and time.monotonic() - self._succeeded_at < FRESH_SECONDS

    def turn(self) -> None:
        """One pass. What is declared wrongly or does not answer is said, and tried again at the next one."""
        started = time.monotonic()
        fault = ""
        try:
            reconcile(self._platform, _WAIT_FOR_API_SECONDS, _log.info, self._tell, dry_run=False)
            post_passed()
            self._succeeded_at = time.monotonic()
        except (PlatformError, DeclarationError) as error:
            fault = str(error)
        self._telemetry.passed(time.monotonic() - started, success=not fault)
        if fault != self._last_fault:
            self._say("ReconcileFailed" if fault else "Reconciled", fault or "All is as declared again.", bool(fault))
        elif fault:
            _log.warning("ReconcileFailed: %s", fault)
        self._last_fault = fault

    def _tell(self, change: Change) -> None:
        if change.action not in _HEALED:
            return
        self._telemetry.healed(change.kind)
        fields = ", ".join(
            one.field if one.declared is None else f"{one.field}: {one.held} -> {one.declared}" for one in change.fields
        )
        self._say("DriftHealed", f"{change.action} {change.kind} {change.name}{f' ({fields})' if fields else ''}")

    def _say(self, reason: str, message: str, warning: bool = False) -> None:
        """In the log, and as an Event of the release's ConfigMap where the cluster takes it."""
        _log.log(logging.WARNING if warning else logging.INFO, "%s: %s", reason, message)
        with suppress(ClusterError):
            self._platform.cluster.post_event(self._release(), reason, message, warning=warning)

    def _release(self) -> Reference:
        return self._platform.cluster.config_map_reference(self._platform.namespace, PLATFORM_CONFIG_MAP)
