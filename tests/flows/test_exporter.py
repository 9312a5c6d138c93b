"""The exporter against a real Prefect server: every run counts once, whatever restarts in between."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Pending, Running
from prometheus_client.parser import text_string_to_metric_families

POOL = "exported"
NONE_YET = {"success": 0.0, "failed": 0.0, "crashed": 0.0, "cancelled": 0.0}
CRASH_COUNTS_WITHIN_SECONDS = 45
MEMORY_LIMIT_BYTES = 150 * 2**20


@flow
def exported() -> None:
    """Succeeds."""


@flow
def breaks() -> None:
    """Fails."""
    raise ValueError("as it should")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@dataclass
class Service:
    """A process that can be ended and started again."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    ready_url: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **self.environment}, stdout=log, stderr=log
            )
        wait_until(lambda: answers(self.ready_url), 120, f"{self.ready_url} answers")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def running(service: Service) -> Iterator[Service]:
    service.start()
    try:
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with running(Service(command, environment, home / "log", f"http://127.0.0.1:{port}/api/health")) as started:
        yield started


@pytest.fixture(scope="module")
def api(server: Service) -> Iterator[str]:
    url = server.ready_url.removesuffix("/health")
    with temporary_settings({PREFECT_API_URL: url}):
        yield url


@pytest.fixture(scope="module")
def client(api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def deployment(client: SyncPrefectClient) -> UUID:
    client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    return deploy(client, "default")


def deploy(client: SyncPrefectClient, name: str) -> UUID:
    return client.create_deployment(flow_id=client.create_flow(exported), name=name, work_pool_name=POOL)


@pytest.fixture(scope="module")
def exporter(api: str, deployment: UUID, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home, port = tmp_path_factory.mktemp("exporter"), free_port()
    options = ["--port", str(port), "--state-dir", str(home / "counts"), "--interval-seconds", "2"]
    command = [sys.executable, "-m", "flows", "exporter", *options]
    environment = {"PREFECT_API_URL": api, "PREFECT_HOME": str(home)}
    with running(Service(command, environment, home / "log", f"http://127.0.0.1:{port}/-/ready")) as started:
        yield started


def scrape(exporter: Service, name: str) -> dict[tuple[str, ...], float]:
    """The series of a metric: values of its labels, by the names of these -> value."""
    text = httpx.get(f"{exporter.ready_url.partition('/-/')[0]}/metrics").text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples if one.name == name]
    return {tuple(value for _, value in sorted(one.labels.items())): one.value for one in samples}


def counts(exporter: Service, deployment: str) -> dict[str, float]:
    """Status -> attempts of the deployment."""
    return {
        status: number
        for (name, flow_name, status, pool), number in scrape(exporter, "prefect_flow_runs_total").items()
        if (name, flow_name, pool) == (deployment, "exported", POOL)
    }


def run_through(client: SyncPrefectClient, deployment: UUID, *states: State[None]) -> UUID:
    run = client.create_flow_run_from_deployment(deployment)
    for state in states:
        client.set_flow_run_state(run.id, state, force=True)
    return run.id


def test_every_status_of_a_deployment_begins_at_zero(exporter: Service) -> None:
    assert counts(exporter, "default") == NONE_YET


def test_flows_of_no_deployment_count_with_their_duration(exporter: Service) -> None:
    exported()
    with pytest.raises(ValueError, match="as it should"):
        breaks()
    found = [("none", "exported", "success", "none"), ("none", "breaks", "failed", "none")]
    wait_until(
        lambda: [scrape(exporter, "prefect_flow_runs_total").get(labels) for labels in found] == [1, 1], 20, "two runs"
    )
    assert scrape(exporter, "prefect_flow_run_duration_seconds_count")["none", "breaks", "none"] == 1


def test_gauges_follow_the_server(exporter: Service, client: SyncPrefectClient, deployment: UUID) -> None:
    run = client.create_flow_run_from_deployment(deployment)
    client.set_flow_run_state(run.id, Running(), force=True)
    wait_until(lambda: scrape(exporter, "prefect_active_flows")["exported",] == 1, 20, "an active flow")
    assert scrape(exporter, "prefect_active_flow_max_age_seconds")["exported",] > 0
    client.set_flow_run_state(run.id, Completed(), force=True)
    wait_until(lambda: scrape(exporter, "prefect_active_flows")["exported",] == 0, 20, "no active flow")
    assert scrape(exporter, "prefect_work_pool_last_poll_age_seconds")[POOL,] > 0
    assert scrape(exporter, "prefect_late_flow_runs")[POOL,] == 0
    late = client.create_flow_run_from_deployment(deployment)
    wait_until(lambda: scrape(exporter, "prefect_late_flow_runs")[POOL,] == 1, 40, "a late run")
    client.set_flow_run_state(late.id, Cancelled(), force=True)
    assert set(scrape(exporter, "prefect_deployment_created_timestamp_seconds")) == {("default", "exported")}


def test_every_run_counts_once_over_restarts_of_exporter_and_server(
    exporter: Service, server: Service, client: SyncPrefectClient
) -> None:
    deployment, expected = deploy(client, "restarts"), dict(NONE_YET)

    def reaches(more: dict[str, int], seconds: float = 20) -> None:
        for status, number in more.items():
            expected[status] += number
        wait_until(lambda: counts(exporter, "restarts") == expected, seconds, str(expected))

    reaches({})

    run_through(client, deployment, Pending(), Running(), Completed())
    run_through(client, deployment, Pending(), Running(), Failed())
    run_through(client, deployment, Cancelled())
    run_through(client, deployment, Pending(), Running(), Crashed(), Completed())
    reaches({"success": 2, "failed": 1, "cancelled": 1})
    assert scrape(exporter, "prefect_flow_run_duration_seconds_count")["restarts", "exported", POOL] == 3
    assert ("restarts", "exported") in scrape(exporter, "prefect_deployment_last_success_timestamp_seconds")

    assert exporter.end() == 0
    crashed = run_through(client, deployment, Pending(), Running(), Crashed())
    run_through(client, deployment, Pending(), Running(), AwaitingRetry(), Running(), Failed())
    exporter.start()
    reaches({"crashed": 1, "failed": 1}, CRASH_COUNTS_WITHIN_SECONDS)

    exporter.end(signal.SIGKILL)
    exporter.start()
    assert counts(exporter, "restarts") == expected, "what is served was saved before"
    client.set_flow_run_state(crashed, Completed(), force=True)
    wait_until(
        lambda: scrape(exporter, "prefect_flow_run_corrections_total")["crashed", "success"] == 1, 20, "a correction"
    )

    server.end()
    wait_until(lambda: scrape(exporter, "prefect_exporter_connected")[()] == 0, 20, "the break is seen")
    assert counts(exporter, "restarts") == expected
    server.start()
    run_through(client, deployment, Pending(), Running(), Completed())
    reaches({"success": 1}, CRASH_COUNTS_WITHIN_SECONDS)
    assert scrape(exporter, "prefect_exporter_reconnects_total")[()] >= 1
    assert scrape(exporter, "process_resident_memory_bytes")[()] < MEMORY_LIMIT_BYTES


def test_sigterm_ends_it_soon_also_without_a_server(api: str, tmp_path: Path) -> None:
    port = free_port()
    options = ["--port", str(port), "--state-dir", str(tmp_path)]
    nowhere = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api", "PREFECT_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "flows", "exporter", *options]
    with running(Service(command, nowhere, tmp_path / "log", f"http://127.0.0.1:{port}/-/healthy")) as alone:
        wait_until(lambda: scrape(alone, "prefect_exporter_api_errors_total")[()] >= 1, 30, "it tries")
        assert not answers(f"http://127.0.0.1:{port}/-/ready")
        begun = time.monotonic()
        assert alone.end() == 0
        assert time.monotonic() - begun < 5
