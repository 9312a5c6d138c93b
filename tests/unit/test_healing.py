"""The operator's passes: what is healed is told and counted, what fails is said once and tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event, Semaphore
from typing import cast

import pytest

from flows.core.errors import ClusterError, PrefectApiError, TaxiFlowsError
from flows.operator import service
from flows.operator.cluster.kube import Reference
from flows.operator.kinds import Kind
from flows.operator.prefect import healing
from flows.operator.prefect.healing import Healing
from flows.operator.prefect.platform import Platform
from flows.operator.prefect.reconcile import Action, Change, FieldChange
from flows.operator.service import Loop
from flows.operator.telemetry import Telemetry
from flows.telemetry.metrics import KUBERNETES_REQUESTS

PAUSED = Change(
    kind=Kind.DEPLOYMENT,
    name="daily/default",
    action=Action.UPDATE,
    fields=(
        FieldChange(field="schedules.0.active", held="False", declared="True"),
        FieldChange(field="job_variables.env.X", held=None, declared=None),
    ),
)
SAME = Change(kind=Kind.WORK_POOL, name="sequential", action=Action.UNCHANGED)


class Release:
    """A platform whose passes find what they are told to, and whose cluster keeps Events."""

    namespace = "ns"

    def __init__(self) -> None:
        self.passes: Iterator[list[Change] | TaxiFlowsError] = iter(())
        self.events: list[tuple[str, str, bool]] = []
        self.cluster = self
        self.refuses_events = False
        self.passed = 0

    def config_map_reference(self, namespace: str, name: str) -> Reference:
        return Reference("v1", "ConfigMap", namespace, name, "uid")

    def post_event(self, about: Reference, reason: str, message: str, warning: bool = False) -> None:
        if self.refuses_events:
            raise ClusterError("refused")
        self.events.append((reason, message, warning))


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    release = Release()

    def reconcile(
        platform: object, wait: float, say: object, tell: Callable[[Change], None], *, dry_run: bool
    ) -> tuple[Change, ...]:
        assert not dry_run
        found = next(release.passes)
        if isinstance(found, TaxiFlowsError):
            raise found
        for change in found:
            tell(change)
        return tuple(found)

    def post_passed() -> None:
        release.passed += 1

    monkeypatch.setattr(healing, "reconcile", reconcile)
    monkeypatch.setattr(healing, "post_passed", post_passed)
    return release


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def operator(release: Release, telemetry: Telemetry) -> Healing:
    return Healing(cast(Platform, release), telemetry)


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def test_what_others_count_is_asked_for_when_prometheus_does(telemetry: Telemetry) -> None:
    requests = 3
    telemetry.asks(KUBERNETES_REQUESTS, lambda: {(): requests})
    assert sample(telemetry, KUBERNETES_REQUESTS.name) == 3
    requests = 4
    assert sample(telemetry, KUBERNETES_REQUESTS.name) == 4


def test_what_is_healed_is_told_and_counted(operator: Healing, release: Release, telemetry: Telemetry) -> None:
    release.passes = iter([[SAME, PAUSED]])
    assert sample(telemetry, "taxi_operator_drift_healed_total", kind="deployment") == 0
    operator.turn()
    told = "update deployment daily/default (schedules.0.active: False -> True, job_variables.env.X)"
    assert release.events == [("DriftHealed", told, False)]
    assert sample(telemetry, "taxi_operator_drift_healed_total", kind="deployment") == 1
    assert sample(telemetry, "taxi_operator_reconcile_total", result="success") == 1


def test_a_fault_is_said_once_and_its_end_too(operator: Healing, release: Release, telemetry: Telemetry) -> None:
    release.passes = iter([PrefectApiError("no answer"), PrefectApiError("no answer"), [SAME], [SAME]])
    for _ in range(4):
        operator.turn()
    assert release.events == [
        ("ReconcileFailed", "no answer", True),
        ("Reconciled", "All is as declared again.", False),
    ]
    assert sample(telemetry, "taxi_operator_reconcile_total", result="failed") == 2


def test_it_is_ready_while_a_success_is_fresh(
    operator: Healing, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.passes = iter([[SAME], PrefectApiError("no answer")])
    assert not operator.ready()
    operator.turn()
    operator.turn()
    assert operator.ready(), "one fault does not matter"
    later = time.monotonic() + healing.FRESH_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not operator.ready()


def test_a_cluster_that_takes_no_event_stops_nothing(operator: Healing, release: Release) -> None:
    release.refuses_events = True
    release.passes = iter([[PAUSED], [SAME]])
    operator.turn()
    operator.turn()


def test_a_loop_turns_when_it_is_woken_and_stops_at_once() -> None:
    turns: list[float] = []
    loop = Loop("test", lambda: turns.append(time.monotonic()), every_seconds=3600)
    loop.start()
    deadline = time.monotonic() + 10
    while len(turns) < 3 and time.monotonic() < deadline:
        loop.wake()
        time.sleep(0.01)
    assert len(turns) >= 3
    assert loop.healthy()
    started = time.monotonic()
    loop.stop()
    loop.join(time.monotonic() + 5)
    assert time.monotonic() - started < 5
    assert not loop.healthy()


def test_a_fault_that_nobody_expected_ends_the_health_and_not_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "FAULT_PAUSE_SECONDS", 0.0)
    turns, well = Semaphore(0), Event()

    def turn() -> None:
        turns.release()
        if not well.is_set():
            raise ZeroDivisionError

    def wait_for_turns() -> None:
        for _ in range(3):
            assert turns.acquire(timeout=10)

    loop = Loop("test", turn, every_seconds=0.01)
    loop.start()
    wait_for_turns()
    assert not loop.healthy()
    well.set()
    wait_for_turns()
    assert loop.healthy()
    assert [one.exc_info is not None for one in caplog.records] == [True], "said once, with its traceback"
    loop.stop()
    loop.join(time.monotonic() + 5)


def test_a_fault_that_lasts_stands_in_the_log_at_each_pass(
    operator: Healing, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    release.passes = iter([PrefectApiError("no answer"), PrefectApiError("no answer")])
    for _ in range(2):
        operator.turn()
    assert caplog.messages == ["ReconcileFailed: no answer"] * 2


def test_prefect_is_told_of_each_pass_that_succeeded(operator: Healing, release: Release) -> None:
    release.passes = iter([[SAME], PrefectApiError("no answer"), [PAUSED]])
    for _ in range(3):
        operator.turn()
    assert release.passed == 2
