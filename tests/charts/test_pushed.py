"""What is pushed makes series of the table alone: no target, alert or count of others can be made up by a push."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.telemetry.metrics import GROUPING_LABELS, METRICS
from scripts.telemetry.prometheus import JOB_OF_SOURCE, pushed_metrics
from tests.charts.charts import Values, named, objects
from tests.promql import EXPRESSIONS, selectors_of

pytestmark = pytest.mark.charts

KEEP, LABELS = yaml.safe_load(pushed_metrics())
PUSHED = [one for one in METRICS if one.source in JOB_OF_SOURCE]

RIGHT = """\
taxi_experiment_clusters{instance="",job="taxi_flows",flow="f",adapter="grid"} 3
taxi_experiment_step_duration_seconds{instance="",job="taxi_flows",flow="f",adapter="grid",step="cluster"} 2.5
postgres_database_size_bytes{instance="",job="postgresql"} 10
"""
FORGED = """\
up{instance="minio:9000",job="minio"} 1
up{instance="",job="exporter"} 1
ALERTS{alertname="FlowCrashed",alertstate="firing",severity="warning",job="taxi_flows"} 1
prefect_flow_runs_total{job="exporter",flow_name="f",deployment="d",work_pool="p",status="success"} 99
prefect_flow_runs_total{job="taxi_flows",flow_name="f",deployment="d",work_pool="p",status="crashed"} 99
prefect_deployment_last_success_timestamp_seconds{job="exporter",flow_name="f",deployment="d"} 4e9
prefect_exporter_last_poll_timestamp_seconds{job="exporter"} 4e9
taxi_operator_last_success_timestamp_seconds{job="operator"} 4e9
kube_pod_status_phase{job="kube-state-metrics",phase="Running"} 1
minio_cluster_capacity_usable_total_bytes{job="minio"} 1
flow_name_deployment:prefect_flow_runs:failure_ratio1h{job="taxi_flows"} 0
postgres_database_size_bytes{job="taxi_flows",flow="f",adapter="grid"} 99
postgres_volume_size_bytes{job="postgresql2"} 99
taxi_experiment_clusters{job="postgresql"} 99
taxi_experiment_clusters{job="exporter",flow="f",adapter="grid"} 99
taxi_experiment_clusters_extra{job="taxi_flows",flow="f",adapter="grid"} 99
xtaxi_experiment_clusters{job="taxi_flows",flow="f",adapter="grid"} 99
push_time_seconds{job="taxi_flows",flow="f",adapter="grid"} 1
go_goroutines 5
"""


def passes(name: str, job: str) -> bool:
    return re.fullmatch(KEEP["regex"], f"{name};{job}") is not None


def test_every_pushed_metric_passes_under_its_own_job_alone() -> None:
    assert PUSHED
    for one in METRICS:
        for source, job in JOB_OF_SOURCE.items():
            assert passes(one.name, job) == (one.source == source), one.name
        assert not passes(one.name, "exporter")
    for name in (
        "up",
        "ALERTS",
        "ALERTS_FOR_STATE",
        "scrape_samples_scraped",
        "kube_pod_info",
        "push_time_seconds",
        "",
    ):
        assert not any(passes(name, job) for job in (*JOB_OF_SOURCE.values(), "", "prometheus"))


def test_labels_of_the_table_stay() -> None:
    for one in PUSHED:
        for label in ("__name__", "job", *one.labels, *(GROUPING_LABELS if one.source == "run" else ())):
            assert re.fullmatch(LABELS["regex"], label)
    for label in ("instance", "alertname", "severity", "flow_name", "work_pool", "le", "__tmp"):
        assert not re.fullmatch(LABELS["regex"], label)


def test_no_alert_asks_for_an_instance_of_what_is_pushed() -> None:
    names = {one.name for one in PUSHED}
    for where, expr in EXPRESSIONS:
        for name, labels in selectors_of(expr):
            assert name not in names or "instance" not in labels, where


def rendered(charts: Path) -> dict[str, Any]:
    """Prometheus's configuration as the chart makes it."""
    made = objects(charts, Values("prometheus", ("prometheus/ci/required-values.yaml",)))
    config: dict[str, Any] = yaml.safe_load(named(made, "ConfigMap", "prometheus-server")["data"]["prometheus.yaml"])
    return config


def test_prometheus_is_given_the_list(charts: Path) -> None:
    jobs = {one["job_name"]: one for one in rendered(charts)["scrape_configs"]}
    assert jobs["pushgateway"]["metric_relabel_configs"] == [KEEP, LABELS]
    assert {name for name, job in jobs.items() if job.get("honor_labels")} == {"pushgateway"}


def test_promtool_takes_the_configuration(charts: Path, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("not on PATH: promtool")
    jobs = [one for one in rendered(charts)["scrape_configs"] if one["job_name"] == "pushgateway"]
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump({"scrape_configs": jobs}), encoding="utf-8")
    command = [promtool, "check", "config", "--syntax-only", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def a_pushgateway_that_shows(text: str) -> Iterator[str]:
    """HOST:PORT of a server whose /metrics is the text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_real_prometheus_keeps_nothing_that_is_forged(tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("not on PATH: prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with a_pushgateway_that_shows(RIGHT + FORGED) as target:
        job = {
            "job_name": "pushgateway",
            "honor_labels": True,
            "metric_relabel_configs": [KEEP, LABELS],
            "static_configs": [{"targets": [target]}],
        }
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [
            prometheus, f"--config.file={tmp_path / 'prometheus.yaml'}", f"--web.listen-address={address}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
        ]  # fmt: skip
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            found = wait_for_series(address)
        finally:
            running.terminate()
            running.wait()
    scraped = {name for name in found if not name.startswith(("scrape_", "up{"))}
    assert scraped == {
        'postgres_database_size_bytes{job="postgresql"}',
        'taxi_experiment_clusters{adapter="grid",flow="f",job="taxi_flows"}',
        'taxi_experiment_step_duration_seconds{adapter="grid",flow="f",job="taxi_flows",step="cluster"}',
    }
    assert {name for name in found if name.startswith("up{")} == {f'up{{instance="{target}",job="pushgateway"}}'}


def wait_for_series(address: str) -> set[str]:
    """Every series that Prometheus has, once it has scraped."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            answer = httpx.get(f"http://{address}/api/v1/query", params={"query": '{__name__=~".+"}'}).json()
        except (httpx.TransportError, ValueError):
            answer = {}
        results = [one["metric"] for one in answer.get("data", {}).get("result", [])]
        if any(one["__name__"].startswith("taxi_experiment_") for one in results):
            return {as_text(one) for one in results}
        time.sleep(0.1)
    pytest.fail("Prometheus scraped nothing within 60 s")


def as_text(labels: dict[str, str]) -> str:
    """A series as PromQL writes it, its labels in the order of their names."""
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels['__name__']}{{{inside}}}"
