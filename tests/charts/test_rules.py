"""The alerting rules as promtool evaluates them: each fires, stays silent and resolves when it should."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from scripts.telemetry.alerts import ALERTS
from scripts.telemetry.recordings import RECORDINGS
from tests.charts.rule_cases import ALL_FINE, CASES, Case
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.charts

RULES = sorted((REPOSITORY / "charts/prometheus/files/rules").glob("*.yaml"))


def test_every_alert_fires_and_is_silent_in_some_case() -> None:
    names = {alert.name for alerts in ALERTS.values() for alert in alerts}
    assert {case.alert for case in CASES if case.fires} == names
    assert {case.alert for case in CASES if case.silent} == names


def test_every_alert_resolves_in_some_case() -> None:
    names = {alert.name for alerts in ALERTS.values() for alert in alerts}
    assert {case.alert for case in CASES if case.fires and max(case.silent, default=0) > max(case.fires)} == names


def test_every_counter_survives_a_reset() -> None:
    counting = {alert.name for alerts in ALERTS.values() for alert in alerts if "increase(" in alert.value}
    assert {"FlowFailureRateHigh", *counting} == {case.alert for case in CASES if "starts anew" in case.about}


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own tool."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("not on PATH: promtool")
    return found


def test_rules_are_valid(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", *map(str, RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def as_test(case: Case) -> dict[str, object]:
    """The case as promtool takes it."""
    severity = next(alert.severity for alerts in ALERTS.values() for alert in alerts if alert.name == case.alert)
    told = {"alertname": case.alert, "alertstate": "firing", "severity": severity, **case.labels}
    labels = ", ".join(f'{name}="{value}"' for name, value in told.items())
    expr = f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}'
    return {
        "name": str(case),
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in {**ALL_FINE, **case.series}.items()],
        "promql_expr_test": [
            *({"expr": expr, "eval_time": f"{minute}m", "exp_samples": []} for minute in case.silent),
            *(
                {
                    "expr": expr,
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": f"ALERTS{{{labels}}}", "value": 1}],
                }
                for minute in case.fires
            ),
        ],
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_alerts(promtool: str, case: Case, tmp_path: Path) -> None:
    judge(promtool, as_test(case), tmp_path)


def judge(promtool: str, test: Mapping[str, object], folder: Path) -> None:
    """Let promtool run one test over all rules."""
    suite = {"rule_files": [str(file) for file in RULES], "evaluation_interval": "1m", "tests": [test]}
    file = folder / "rules.test.yaml"
    file.write_text(yaml.safe_dump(suite), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


BUCKETS = {
    f'prefect_flow_run_duration_seconds_bucket{{flow_name="f",deployment="default",work_pool="p",le="{le}"}}': values
    for le, values in (("5", "0x9 10x100"), ("10", "0x9 20x100"), ("+Inf", "0x9 20x100"))
}
COUNTS = {
    f'prefect_flow_runs_total{{flow_name="f",deployment="default",work_pool="p",status="{status}"}}': values
    for status, values in (
        ("success", "0x9 3x100"),
        ("failed", "0x9 1x100"),
        ("crashed", "0x100"),
        ("cancelled", "0x9 4x100"),
    )
}
RECORDED: dict[str, tuple[dict[str, str], float]] = {
    "flow_name_deployment:prefect_flow_run_duration_seconds:p50_1h": (BUCKETS, 5.0),
    "flow_name_deployment:prefect_flow_run_duration_seconds:p95_1h": (BUCKETS, 9.5),
    "flow_name_deployment:prefect_flow_runs:failure_ratio1h": (COUNTS, 0.25),
}
"""Half of twenty runs took up to 5 s, the others up to 10 s; of four that were not cancelled one failed."""


def test_every_recording_has_a_value_to_be() -> None:
    assert set(RECORDED) == {one.name for one in RECORDINGS}


@pytest.mark.parametrize("name", RECORDED)
def test_recordings(promtool: str, name: str, tmp_path: Path) -> None:
    series, value = RECORDED[name]
    sample = {"labels": f'{name}{{flow_name="f", deployment="default", work_pool="p"}}', "value": value}
    test = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [{"expr": name, "eval_time": "30m", "exp_samples": [sample]}],
    }
    judge(promtool, test, tmp_path)
