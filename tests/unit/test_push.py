"""What a run pushes: groups by flow and adapter, defined values alone, and no failure of a push fails a run."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from flows.model.metric import Metric
from flows.model.points import DROP_REASONS
from flows.telemetry import metrics, push
from flows.telemetry.push import groups, push_last_run
from tests.unit.builders import (
    a_cell,
    a_comparison_record,
    a_failed_cell,
    a_sweep_record,
    an_aggregate_record,
    an_experiment_record,
)
from tests.unit.gateway import Gateway, a_gateway, samples

PUSHGATEWAY = shutil.which("pushgateway") or shutil.which("prometheus-pushgateway") or shutil.which(
    "pushgateway", path=str(Path("~/.cache/taxi-cluster/bin").expanduser())
)  # fmt: skip


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with a_gateway() as stub:
        monkeypatch.setenv("PUSHGATEWAY_URL", stub.url)
        yield stub


def test_an_experiment_pushes_one_group(gateway: Gateway) -> None:
    record = an_experiment_record()
    push_last_run(record)
    ((path, pushed),) = gateway.groups.items()
    assert path == "/metrics/job/taxi_flows/adapter/sklearn/flow/evaluation_pipeline"
    assert record.quality is not None
    for metric, value in (
        (metrics.POINTS, record.points.used),
        (metrics.CLUSTERS, record.clustering.n_clusters),
        (metrics.NOISE_RATIO, record.clustering.noise_ratio.value),
        (metrics.LARGEST_CLUSTER_RATIO, record.clustering.largest_cluster_share.value),
        (metrics.SILHOUETTE, record.quality.silhouette.value),
        (metrics.OVERALL_SCORE, record.overall_score.value),
        (metrics.PEAK_MEMORY, record.performance.peak_memory_bytes.value),
        (metrics.EPS, 500.0),
        (metrics.LAST_SUCCESS, record.created.timestamp()),
    ):
        assert pushed[metric.name, ()] == pytest.approx(value)
    assert {key[1] for key in pushed if key[0] == metrics.STEP_DURATION.name} == {
        (("step", step),) for step in record.timings
    }
    for reason in DROP_REASONS:
        assert pushed[metrics.DROPPED_POINTS.name, (("reason", reason),)] == record.points.dropped.get(reason, 0)


def test_what_is_not_defined_is_absent() -> None:
    record = an_experiment_record(score=Metric(value=None, reason="one cluster")).model_copy(update={"quality": None})
    (group,) = groups(record)
    assert {metrics.OVERALL_SCORE, metrics.SILHOUETTE} & set(group.values) == set()


def test_a_sweep_pushes_its_best(gateway: Gateway) -> None:
    record = a_sweep_record()
    (group,) = groups(record)
    assert record.best is not None
    cell = record.cells[record.best]
    assert group.values[metrics.OVERALL_SCORE] == {(): cell.overall_score.value}
    assert group.values[metrics.EPS] == {(): cell.eps * 1000}
    assert group.values[metrics.MIN_SAMPLES] == {(): cell.min_samples}
    assert (group.flow, group.adapter) == ("parameter_sweep_flow", "sklearn")
    assert group.values[metrics.STEP_DURATION] == {(step,): seconds for step, seconds in record.timings.items()}
    (none,) = groups(a_sweep_record([a_cell(0.1, 5, score=None)]))
    assert metrics.CLUSTERS not in none.values
    assert metrics.LAST_SUCCESS in none.values


def test_a_comparison_pushes_a_group_for_each_adapter(gateway: Gateway) -> None:
    record = a_comparison_record()
    push_last_run(record)
    assert [path.split("/")[5] for path in gateway.groups] == ["sklearn", "sklearn_parallel", "grid"]
    first, second, _ = groups(record)
    assert metrics.SPEED_UP not in first.values
    assert second.values[metrics.SPEED_UP] == {(): 3.91}
    for group in (first, second):
        fits = [
            cell.performance.runtime_seconds
            for cell in record.cells
            if cell.adapter == group.adapter and cell.performance
        ]
        assert group.values[metrics.STEP_DURATION]["cluster",] == pytest.approx(sum(fits))
        assert group.values[metrics.STEP_DURATION]["evaluate",] == pytest.approx(0.25 * len(fits))


def test_an_adapter_without_a_result_pushes_nothing() -> None:
    record = a_comparison_record()
    cells = [
        cell if cell.adapter == "sklearn" else a_failed_cell(cell.eps, cell.min_samples, "killed", cell.adapter)
        for cell in record.cells
    ]
    assert [group.adapter for group in groups(record.model_copy(update={"cells": tuple(cells)}))] == ["sklearn"]


def test_an_aggregate_pushes_nothing(gateway: Gateway) -> None:
    push_last_run(an_aggregate_record())
    assert gateway.groups == {}


def test_without_an_address_nothing_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "push", lambda *_: pytest.fail("pushed"))
    push_last_run(an_experiment_record())


def test_a_push_that_fails_warns_with_the_cause(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = an_experiment_record()
    gateway.status = 400
    monkeypatch.setattr(push, "_WAITS_SECONDS", ())
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
    for url, cause in (
        (gateway.url, "HTTP Error 400"),
        ("http://127.0.0.1:9", "Connection refused"),
        ("http://[bad", "Invalid IPv6"),
    ):
        monkeypatch.setenv("PUSHGATEWAY_URL", url)
        caplog.clear()
        push_last_run(record)
        (warning,) = [one for one in caplog.records if one.levelname == "WARNING"]
        assert cause in warning.getMessage()
        assert url in warning.getMessage()


def test_a_gateway_that_is_silent_does_not_hold_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics, "PUSH_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PUSHGATEWAY_URL", f"127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        push_last_run(an_experiment_record())
    assert time.monotonic() - started < 5
    assert "timed out" in caplog.text


GARBAGE = {
    "no HTTP": b"\x00\x01garbage\r\n\r\n",
    "an escape sequence": b"\x1b[2J\r\n\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "a long status": b"HTTP/1.1 500 " + b"a" * 60_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a negative status": b"HTTP/1.1 -5 OK\r\n\r\n",
    "broken chunks": b"HTTP/1.1 503 Away\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "a redirect to itself": b"HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
}


@contextmanager
def answering(pieces: Iterable[bytes], ready: threading.Event) -> Iterator[str]:
    """Address of a server that answers each request with these bytes, the last one once `ready` is set."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(1 << 20)
                        for piece in pieces:
                            connection.sendall(piece)
                        ready.wait(30)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ready.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def warning_of_a_push(caplog: pytest.LogCaptureFixture) -> str:
    """What is said of a push that fails."""
    caplog.clear()
    push_last_run(an_experiment_record())
    (warning,) = [one for one in caplog.records if one.levelname == "WARNING"]
    return warning.getMessage()


@pytest.fixture
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.usefixtures("_heard")
def test_an_answer_that_is_none_is_a_warning(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    done.set()
    with answering([GARBAGE[kind]], done) as url:
        monkeypatch.setenv("PUSHGATEWAY_URL", url)
        said = warning_of_a_push(caplog)
    assert said.isprintable()
    assert len(said) < 500


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,x",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:x",
        "http://a b",
        "http://127.0.0.1:1/\x7f",
        "http://user:password@127.0.0.1:1x",
        f"http://{'a' * 70}.example",
    ],
)
@pytest.mark.usefixtures("_heard")
def test_an_address_that_is_none_is_a_warning(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(push, "_WAITS_SECONDS", ())
    monkeypatch.setenv("PUSHGATEWAY_URL", url)
    assert "were not pushed to" in warning_of_a_push(caplog)


@pytest.mark.parametrize("pieces", [[], [b"H"], [b"HTTP/1.1 200 OK\r\n", b"X: "]])
@pytest.mark.usefixtures("_heard")
def test_all_pushes_of_a_run_have_one_time(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each group would wait for its own timeout, and each byte that drips begins that anew."""
    monkeypatch.setattr(push, "PUSH_WITHIN_SECONDS", 0.2)
    monkeypatch.setattr(metrics, "PUSH_TIMEOUT_SECONDS", 3600.0)
    with answering(pieces, threading.Event()) as url:
        monkeypatch.setenv("PUSHGATEWAY_URL", url)
        push_last_run(a_comparison_record())
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(said) == 3
    assert all("no answer within" in one for one in said)


@pytest.mark.usefixtures("_heard")
def test_a_look_up_that_hangs_does_not_hold_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()
    monkeypatch.setattr(push, "PUSH_WITHIN_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    monkeypatch.setenv("PUSHGATEWAY_URL", "http://pushgateway.example:9091")
    try:
        assert "no answer within 0.2 s" in warning_of_a_push(caplog)
    finally:
        over.set()


@pytest.mark.parametrize("fault", [socket.gaierror(socket.EAI_AGAIN, "no answer"), ConnectionRefusedError()])
def test_a_gateway_that_is_away_for_a_moment_is_asked_again(
    fault: OSError, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_up, faults = socket.getaddrinfo, [fault, fault]

    def flaky(*args: object, **options: object) -> object:
        if faults:
            raise faults.pop()
        return look_up(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(push, "_WAITS_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    push_last_run(an_experiment_record())
    assert len(gateway.groups) == 1


@pytest.mark.skipif(PUSHGATEWAY is None, reason="no Pushgateway: put pushgateway on PATH")
def test_a_real_pushgateway_takes_all_and_replaces_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    running = subprocess.Popen(
        [str(PUSHGATEWAY), f"--web.listen-address={address}"], stderr=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        monkeypatch.setenv("PUSHGATEWAY_URL", address)
        until = time.monotonic() + 20
        while time.monotonic() < until and not _answers(address):
            time.sleep(0.05)
        comparison = a_comparison_record()
        push_last_run(comparison)
        push_last_run(an_experiment_record())
        pushed = samples(httpx.get(f"http://{address}/metrics").text)
        assert (metrics.CLUSTERS.name, (("adapter", "grid"), ("flow", comparison.flow))) in pushed
        of_run = (("adapter", "sklearn"), ("flow", "evaluation_pipeline"))
        assert (metrics.SILHOUETTE.name, of_run) in pushed
        undefined = an_experiment_record().model_copy(update={"quality": None})
        push_last_run(undefined)
        again = samples(httpx.get(f"http://{address}/metrics").text)
        assert (metrics.SILHOUETTE.name, of_run) not in again
        assert (metrics.CLUSTERS.name, of_run) in again
    finally:
        running.terminate()
        running.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready").is_success
    except httpx.TransportError:
        return False
