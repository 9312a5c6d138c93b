"""What the exporter serves is what the table of metrics says, and its events are read as Prefect writes them."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from click.testing import CliRunner
from prefect.events import Event
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from flows.cli import main
from flows.core.errors import ServingError
from flows.telemetry.exporter.collector import ExporterCollector, Own, registry
from flows.telemetry.exporter.counts import Counts, State
from flows.telemetry.exporter.events import Labels, PodFailed, RunEnded, RunStarted, parse
from flows.telemetry.exporter.platform import DeploymentFacts, PoolFacts, RunFacts, platform
from flows.telemetry.metrics import METRICS
from flows.telemetry.serving import serving
from tests.conftest import REPOSITORY

PROMTOOL = shutil.which("promtool") or shutil.which(
    "promtool", path=str(Path("~/.cache/taxi-cluster/bin").expanduser())
)  # fmt: skip
NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
RUN = UUID("0198c0de-0000-4000-8000-000000000001")
NIGHTLY = Labels("daily_adapter_comparison_flow", "default", "parallel")


def run_event(state: str, before: str | None = "RUNNING", name: str | None = None) -> Event:
    return Event(
        id=uuid4(),
        occurred=NOW,
        event=f"prefect.flow-run.{name or state.title()}",
        resource={
            "prefect.resource.id": f"prefect.flow-run.{RUN}",
            "prefect.run-count": "2",
            "prefect.state-type": state,
        },
        related=[
            {"prefect.resource.id": f"prefect.{role}.1", "prefect.resource.role": role, "prefect.resource.name": value}
            for role, value in zip(("flow", "deployment", "work-pool"), NIGHTLY, strict=True)
        ],
        payload={"initial_state": {"type": before} if before else None, "validated_state": {"type": state}},
    )


def pod_event(phase: str, diagnosis: str | None) -> Event:
    labels = {} if diagnosis is None else {"kubernetes.diagnosis": diagnosis}
    resource = {"prefect.resource.id": "prefect.kubernetes.pod.a-uid", **labels}
    return Event(occurred=NOW, event=f"prefect.kubernetes.pod.{phase}", resource=resource)


def test_states_count_by_their_type_whatever_their_name() -> None:
    event = run_event("COMPLETED", name="Cached")
    assert parse(event) == RunEnded(event.id, RUN, 2, NOW, "success", None, NIGHTLY)
    assert parse(run_event("RUNNING", "PENDING")) == RunStarted(RUN, 2, NOW)
    late = parse(run_event("COMPLETED", before="CRASHED"))
    assert isinstance(late, RunEnded)
    assert late.corrects == "crashed"
    for state in ("SCHEDULED", "PENDING", "CANCELLING", "PAUSED"):
        assert parse(run_event(state)) is None


def test_a_run_without_a_deployment_has_none() -> None:
    event = run_event("FAILED")
    event.related = [related for related in event.related if related.role == "flow"]
    seen = parse(event)
    assert isinstance(seen, RunEnded)
    assert seen.labels == (NIGHTLY.flow_name, "none", "none")


def test_events_of_no_run_are_left_out() -> None:
    for name, resource in (("prefect.flow-run.heartbeat", f"prefect.flow-run.{RUN}"), ("x", "prefect.flow.1")):
        assert parse(Event(event=name, resource={"prefect.resource.id": resource})) is None


@pytest.mark.parametrize(
    ("phase", "diagnosis", "reason"),
    [
        ("pending", "Unschedulable.InsufficientResources", "Unschedulable"),
        ("pending", "ImagePullError", "ImagePullError"),
        ("succeeded", "OOMKilled", "OOMKilled"),
        ("evicted", "Evicted", "Evicted"),
        ("running", "SomethingNew", "Other"),
        ("failed", None, "Other"),
        ("evicted", None, "Other"),
        ("running", None, None),
        ("succeeded", None, None),
    ],
)
def test_pods_fail_by_their_diagnosis(phase: str, diagnosis: str | None, reason: str | None) -> None:
    seen = parse(pod_event(phase, diagnosis))
    assert (seen.reason if isinstance(seen, PodFailed) else None) == reason


def filled() -> ExporterCollector:
    """A collector that has something to say of every metric."""
    counts = Counts(State(since=NOW - timedelta(days=1), position=NOW))
    counts.observe(RunStarted(RUN, 1, NOW - timedelta(seconds=90)))
    counts.observe(RunEnded(uuid4(), RUN, 1, NOW, "success", None, NIGHTLY))
    counts.settle(NOW + timedelta(minutes=1))
    collector = ExporterCollector(Own())
    collector.state = counts.state()
    running = RunFacts(NIGHTLY.flow_name, None, NIGHTLY.work_pool, "Running", NOW)
    deployment = DeploymentFacts(UUID(int=1), NIGHTLY, NOW, None)
    collector.platform = platform(NOW, (deployment,), (PoolFacts("parallel", False, 1, NOW),), (running,), (running,))
    return collector


def exposed(collected: CollectorRegistry) -> dict[str, tuple[str, set[str], str]]:
    """Type, labels and help of each family."""
    text = generate_latest(collected).decode()
    found = {}
    for one in text_string_to_metric_families(text):
        name = f"{one.name}_total" if one.type == "counter" else one.name
        found[name] = (
            one.type,
            {label for sample in one.samples for label in sample.labels} - {"le"},
            one.documentation,
        )
    return found


def test_the_exporter_serves_the_table_and_nothing_else() -> None:
    collected = CollectorRegistry()
    registry(ExporterCollector(Own()))  # without _created series from here on
    collected.register(filled())
    table = {one.name: (one.type, set(one.labels), one.help) for one in METRICS if one.source == "exporter"}
    assert exposed(collected) == table


def test_the_table_follows_prometheus_names() -> None:
    assert len({one.name for one in METRICS}) == len(METRICS)
    for one in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name)
        assert (one.type == "counter") == one.name.endswith("_total")
        assert one.name.startswith("taxi_experiment_") == (one.source == "run")
        for unit in ("seconds", "bytes", "ratio", "meters"):
            assert (one.unit == unit) == one.name.endswith((f"_{unit}", f"_{unit}_total"))
        assert one.help.endswith(".")


GUIDE_QUERIES = """
rule_files: []
tests:
  - interval: 1m
    input_series:
      - {series: 'prefect_flow_runs_total{flow_name="a", status="success"}', values: "0+3x10"}
      - {series: 'prefect_flow_runs_total{flow_name="a", status="failed"}', values: "0+1x10"}
      - {series: 'prefect_flow_run_duration_seconds_sum{flow_name="a"}', values: "0+40x10"}
      - {series: 'prefect_flow_run_duration_seconds_count{flow_name="a"}', values: "0+4x10"}
    promql_expr_test:
      - {eval_time: 10m, exp_samples: [{labels: "{}", value: 75}], expr: %s}
      - {eval_time: 10m, exp_samples: [{labels: '{flow_name="a"}', value: 10}], expr: %s}
"""


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool: put it on PATH")
def test_the_guide_s_queries_say_what_they_should(tmp_path: Path) -> None:
    guide = (REPOSITORY / "docs" / "workflows.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```promql\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    queries = [re.sub(r"^#.*\n", "", query) for query in block.split("\n\n")]
    (tmp_path / "guide.yaml").write_text(GUIDE_QUERIES % tuple(map(json.dumps, queries)))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(tmp_path / "guide.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def value(text: str, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(text)
    return next(one.value for family in families for one in family.samples if (one.name, one.labels) == (name, labels))


def test_values_and_zeros() -> None:
    text = generate_latest(registry(filled())).decode()
    of_deployment = NIGHTLY._asdict()
    assert value(text, "prefect_flow_runs_total", **of_deployment, status="success") == 1
    assert value(text, "prefect_flow_runs_total", **of_deployment, status="crashed") == 0
    assert value(text, "prefect_flow_run_duration_seconds_sum", **of_deployment) == 90
    assert value(text, "prefect_flow_run_duration_seconds_bucket", **of_deployment, le="60.0") == 0
    assert value(text, "prefect_flow_run_duration_seconds_bucket", **of_deployment, le="120.0") == 1
    assert value(text, "prefect_pod_failures_total", reason="OOMKilled") == 0
    assert value(text, "prefect_active_flows", flow_name=NIGHTLY.flow_name) == 1
    age = time.time() - NOW.timestamp()
    assert value(text, "prefect_work_pool_last_poll_age_seconds", work_pool="parallel") == pytest.approx(age, abs=60)
    assert value(text, "prefect_active_flow_max_age_seconds", flow_name=NIGHTLY.flow_name) == pytest.approx(age, abs=60)


def test_the_server_shows_metrics_and_health() -> None:
    ready = [False]
    with serving(0, registry(filled()), healthy=lambda: True, ready=lambda: ready[0]) as port:
        base = f"http://127.0.0.1:{port}"
        answer = httpx.get(f"{base}/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "prefect_flow_runs_total" in answer.text
        assert "process_resident_memory_bytes" in answer.text
        assert httpx.get(f"{base}/-/healthy").status_code == 200
        assert httpx.get(f"{base}/-/ready").status_code == 503
        ready[0] = True
        assert httpx.get(f"{base}/-/ready").status_code == 200
        assert httpx.get(f"{base}/").status_code == 404


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        refused = pytest.raises(ServingError, match=rf"port {port}: Address already in use.*--port")
        with refused, serving(port, CollectorRegistry(), lambda: True, lambda: True):
            pass


def test_the_exporter_needs_a_server(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["exporter", "--state-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "PREFECT_API_URL is not set" in done.stderr
