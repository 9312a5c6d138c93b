"""The operator at work: loops that bring everything to what is declared, and watches that wake them early."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from uuid import UUID

from prefect.utilities.urls import url_for

from flows.operator.cluster.backups import EVERY_SECONDS as BACKUPS_SECONDS
from flows.operator.cluster.backups import Backups
from flows.operator.cluster.watch import watch_config_map
from flows.operator.faults import Faults
from flows.operator.prefect.healing import EVERY_SECONDS as HEALING_SECONDS
from flows.operator.prefect.healing import Healing
from flows.operator.prefect.platform import Platform
from flows.operator.prefect.release import PLATFORM_CONFIG_MAP
from flows.operator.resources.controller import EVERY_SECONDS as OBJECTS_SECONDS
from flows.operator.resources.controller import Controller
from flows.operator.resources.kube import Objects
from flows.operator.resources.maximum import Maximum
from flows.operator.resources.runs import flow_runs
from flows.operator.telemetry import Telemetry
from flows.telemetry import metrics
from flows.telemetry.serving import serving

STUCK_AFTER_SECONDS = 300.0
"""Without the end of a turn for so long the operator is not healthy."""
FAULT_PAUSE_SECONDS = 1.0
"""After a turn that ended by a fault that nobody expected: who wakes the loop may do so at once."""
_STOP_SECONDS = 3.0
"""For the turns under way, of the ten seconds that the pod has."""


class Loop:
    """Calls a function every so often in a thread of its own, and at once when it is woken."""

    def __init__(self, name: str, turn: Callable[[], None], every_seconds: float) -> None:
        self._turn, self._every_seconds = turn, every_seconds
        self._wake, self._stop = threading.Event(), threading.Event()
        self._turned_at, self._failed, self._faults = time.monotonic(), False, Faults()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Take the next turn now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the turn that is under way."""
        self._stop.set()
        self._wake.set()

    def join(self, until: float) -> None:
        """Wait for its end until that time of the monotonic clock; a turn that takes longer is left alone."""
        self._thread.join(max(0.0, until - time.monotonic()))

    def turns(self) -> bool:
        """Whether a turn is under way, or another one to come."""
        return self._thread.is_alive()

    def healthy(self) -> bool:
        """Whether turns come to an end, and the last one not by a fault that nobody expected."""
        in_time = time.monotonic() - self._turned_at < STUCK_AFTER_SECONDS
        return self._thread.is_alive() and in_time and not self._failed

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            self._take_turn()
            self._wake.wait(self._every_seconds)

    def _take_turn(self) -> None:
        try:
            self._turn()
        except Exception as error:  # noqa: BLE001 - the thread must not end: the next turn may do
            self._failed = True
            self._faults.tell(type(error).__name__, f"{self._thread.name}: {error!r}", with_traceback=True)
            self._stop.wait(FAULT_PAUSE_SECONDS)
        else:
            self._failed, self._turned_at = False, time.monotonic()


def serve(platform: Platform, port: int) -> None:
    """Operate until SIGTERM or Ctrl-C.

    Raises:
        ServingError: the port is taken.
        ClusterError: there is no cluster.
    """
    cluster, telemetry = platform.cluster, Telemetry()
    healing = Healing(platform, telemetry)
    faults = Faults()
    settings = platform.settings.operator
    objects = Objects(cluster, platform.namespace, faults)
    controller = Controller(
        objects,
        lambda: flow_runs(platform.namespace, faults),
        cluster.post_event,
        _run_url,
        faults,
        settings.object_ttl_seconds or None,
        Maximum.of(settings),
    )
    telemetry.asks(metrics.CUSTOM_RESOURCES, lambda: controller.count)
    backups = Backups(cluster, platform.platform_namespace, faults)
    telemetry.asks(metrics.BACKUP_LAST_SUCCESS, lambda: backups.values)
    telemetry.asks(metrics.KUBERNETES_REQUESTS, lambda: {(): cluster.requests})
    watched = Loop("healing", healing.turn, HEALING_SECONDS), Loop("objects", controller.turn, OBJECTS_SECONDS)
    loops = (*watched, Loop("backups", backups.turn, BACKUPS_SECONDS))

    def ready() -> bool:
        return healing.ready() and controller.ready()

    with serving(port, telemetry.registry, lambda: all(loop.healthy() for loop in loops), ready):
        stop = _stop_on_signals()
        healing_loop, objects_loop = watched
        objects.watch(objects_loop.wake, stop)
        watch_config_map(cluster, platform.namespace, PLATFORM_CONFIG_MAP, healing_loop.wake, faults, stop)
        for loop in loops:
            loop.start()
        stop.wait()
        for loop in loops:
            loop.stop()
        until = time.monotonic() + _STOP_SECONDS
        for loop in loops:
            loop.join(until)
        if any(loop.turns() for loop in loops):
            logging.shutdown()
            os._exit(0)  # a thread that logs while the interpreter ends would abort it


def _run_url(run_id: str) -> str:
    return url_for("flow-run", obj_id=UUID(run_id)) or ""


def _stop_on_signals() -> threading.Event:
    """Set by SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
