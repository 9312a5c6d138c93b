"""Calls keep their distance, whichever threads make them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.operator.cluster import kube, pace
from flows.operator.cluster.kube import Cluster
from flows.operator.cluster.pace import Pace


class Clock:
    """A time that passes only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def test_calls_keep_their_distance(clock: Clock) -> None:
    calls = Pace(20)
    moments = []
    for _ in range(5):
        calls.wait()
        moments.append(clock.now)
    assert moments == pytest.approx([100.0, 100.05, 100.1, 100.15, 100.2])
    assert calls.count == 5


def test_a_pause_saves_nothing_up(clock: Clock) -> None:
    calls = Pace(20)
    calls.wait()
    clock.now = 200.0
    moments = []
    for _ in range(3):
        calls.wait()
        moments.append(clock.now)
    assert moments == pytest.approx([200.0, 200.05, 200.1])


def test_threads_share_the_rate() -> None:
    calls = Pace(200)
    started = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(41):
            threads.submit(calls.wait)
    assert calls.count == 41
    assert time.monotonic() - started >= 40 / 200


def test_each_request_to_kubernetes_is_paced_and_counted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "REQUESTS_PER_SECOND", 10.0)
    cluster = Cluster(Maps())  # type: ignore[arg-type]
    cluster.write_config_map("a", "b", {})
    cluster.config_map("a", "b")
    assert cluster.requests == 3
    assert clock.now == pytest.approx(100.2)


class Maps:
    """Answers what the ConfigMap calls ask."""

    def read(self, namespace: str, plural: str, name: str) -> bytes:
        return b'{"metadata": {"name": "b"}}'

    def patch(self, namespace: str, plural: str, name: str, body: object) -> None:
        return None
