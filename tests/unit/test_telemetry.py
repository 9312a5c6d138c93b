"""Dashboards and alerts: up to date, of known metrics, and without what Grafana refuses."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from flows.telemetry.metrics import GROUPING_LABELS, METRICS
from scripts.telemetry.alerts import DAILY, HOUR, LONGEST_RUN_HOURS, WEEKLY
from scripts.telemetry.model import DATA_SOURCE
from scripts.telemetry.recordings import RECORDINGS
from tests.conftest import REPOSITORY
from tests.promql import DASHBOARDS, EXPRESSIONS, FILES, FLAT, panels, selectors_of

FOREIGN = {
    "up",
    "minio_cluster_capacity_usable_free_bytes",
    "minio_cluster_capacity_usable_total_bytes",
    "prometheus_tsdb_storage_blocks_bytes",
    "prometheus_tsdb_wal_storage_size_bytes",
    "prometheus_tsdb_head_chunks_storage_size_bytes",
    "prometheus_tsdb_retention_limit_bytes",
}
"""Metrics of MinIO and Prometheus themselves."""

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


@pytest.mark.parametrize("path", FILES)
def test_files_are_as_written(path: str) -> None:
    written = (REPOSITORY / path).read_text(encoding="utf-8")
    assert written == FILES[path], "write them anew: python -m scripts.telemetry"


def test_no_other_files_are_installed() -> None:
    folders = ("charts/prometheus/files/rules", "charts/grafana/files/alerting", "charts/grafana/files/dashboards")
    there = {str(file.relative_to(REPOSITORY)) for folder in folders for file in (REPOSITORY / folder).iterdir()}
    assert there == set(FILES) - {"charts/prometheus/files/pushed.yaml"}


def labels_of_metrics() -> dict[str, set[str]]:
    """Labels of each series that may be asked for, those of the scrape included."""
    known: dict[str, set[str]] = {}
    for one in METRICS:
        own = {*one.labels, *(GROUPING_LABELS if one.source == "run" else ()), "job", "instance"}
        names = [f"{one.name}{end}" for end in ("_bucket", "_sum", "_count")] if one.type == "histogram" else [one.name]
        known |= {name: own | ({"le"} if name.endswith("_bucket") else set()) for name in names}
    known |= {one.name: {"flow_name", "deployment", "work_pool", "status"} for one in RECORDINGS}
    return known | {name: {"job", "instance"} for name in FOREIGN}


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_promql_is_of_known_metrics_and_labels(where: str, expr: str) -> None:
    known = labels_of_metrics()
    selectors = selectors_of(expr)
    assert selectors
    for name, labels in selectors:
        assert name in known, f"{where}: no such metric"
        assert labels <= known[name], where


def facts(path: str) -> Any:
    return yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))


def test_alerts_ask_for_targets_that_are_scraped() -> None:
    asked = {job for _, expr in EXPRESSIONS for job in re.findall(r'job="([^"]+)"', expr)}
    scraped = set(re.findall(r"job_name: (\S+)", (REPOSITORY / "charts/prometheus/files/prometheus.yaml").read_text()))
    assert asked
    assert asked <= scraped


def test_alerts_ask_for_flows_that_are_scheduled() -> None:
    entrypoints = {
        one["entrypoint"].rpartition(".")[2] for one in facts("prefect.yaml")["deployments"] if one["schedules"]
    }
    assert entrypoints == {DAILY, WEEKLY}


def test_a_run_is_stuck_when_every_pool_would_have_ended_it() -> None:
    pools = facts("charts/flows/values.yaml")["workPools"].values()
    assert max(pool["activeDeadlineSeconds"] for pool in pools) == LONGEST_RUN_HOURS * HOUR


def test_runbooks_name_values_that_exist() -> None:
    charts = {name: facts(f"charts/{name}/values.yaml") for name in ("postgres", "prometheus", "prefect-server")}
    tree = {**charts, **facts("charts/flows/values.yaml")}
    named = {one for alert in FLAT for one in re.findall(rf"`((?:{'|'.join(tree)})\.[\w.]+)`", alert.runbook)}
    assert named
    for path in named:
        found = tree
        for key in path.replace("NAME", "sequential").split("."):
            assert key in found, path
            found = found[key]


def test_by_asks_for_labels_that_are_there() -> None:
    labels = {"flow_name", "deployment", "work_pool", "status", "le", "reason", "flow", "adapter", "step", "job"}
    for where, expr in EXPRESSIONS:
        for names in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr):
            assert {name.strip() for name in names.split(",") if name.strip()} <= labels, where


@each_dashboard
def test_panels_have_places_of_their_own(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 0
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@each_dashboard
def test_panels_say_what_they_show_and_ask_our_data_source(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs
        assert len(set(refs)) == len(refs)
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {DATA_SOURCE}
    assert {one["datasource"]["uid"] for one in dashboard["templating"]["list"]} == {DATA_SOURCE}


def test_dashboards_are_those_of_the_guide() -> None:
    titles = [dashboard["title"] for dashboard in DASHBOARDS.values()]
    assert titles == ["Prefect Flow Monitoring", "Experiment Monitoring"]
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(titles)
    shown = {panel["title"] for panel in panels(next(iter(DASHBOARDS.values())))}
    assert shown >= {"Flow runs over time", "Flow run duration, p50", "Success rate", "Active flows"}


def test_grafana_takes_the_rules() -> None:
    groups = yaml.safe_load(FILES["charts/grafana/files/alerting/rules.yaml"])["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for name in ("uid", "title"):
        assert len({rule[name] for rule in rules}) == len(rules)
    for rule in rules:
        by_ref = {query["refId"]: query for query in rule["data"]}
        assert list(by_ref) == [query["model"]["refId"] for query in rule["data"]]
        assert by_ref[rule["condition"]]["model"]["expression"] in by_ref
        assert {query["datasourceUid"] for query in rule["data"]} == {DATA_SOURCE, "__expr__"}
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rule["uid"])
        assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
        assert "$value " not in str(rule["annotations"]), "a text of all values in Grafana"


def test_both_evaluate_the_same() -> None:
    grafana = yaml.safe_load(FILES["charts/grafana/files/alerting/rules.yaml"])["groups"]
    prometheus = yaml.safe_load(FILES["charts/prometheus/files/rules/alerts.yaml"])["groups"]
    signs = {"gt": ">", "lt": "<"}
    for one, other in zip(grafana, prometheus, strict=True):
        for rule, alert in zip(one["rules"], other["rules"], strict=True):
            query, threshold = (part["model"] for part in rule["data"])
            evaluator = threshold["conditions"][0]["evaluator"]
            condition = f"({query['expr']}) {signs[evaluator['type']]} {evaluator['params'][0]:g}"
            assert (rule["title"], condition, rule["for"]) == (alert["alert"], alert["expr"], alert["for"])
            assert rule["labels"] == alert["labels"]


def test_what_is_down_is_asked_for_by_its_absence() -> None:
    for alert in FLAT:
        if alert.name.endswith("Down"):
            assert alert.value.startswith("absent(up{")
        if alert.name.endswith("Missing"):
            assert alert.value.startswith("time() - ")


def test_alerts_name_labels_that_they_have() -> None:
    for alert in FLAT:
        for label in re.findall(r"\$labels\.(\w+)", alert.summary + alert.description):
            assert re.search(rf"\b{label}\b", alert.value + "".join(one.expr for one in RECORDINGS)), (
                alert.name,
                label,
            )
