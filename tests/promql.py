"""Every PromQL expression of rules and dashboards, and what it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from scripts.telemetry.__main__ import files
from scripts.telemetry.alerts import ALERTS
from scripts.telemetry.recordings import RECORDINGS

FILES = files()
DASHBOARDS = {path: json.loads(text) for path, text in FILES.items() if path.endswith(".json")}
FLAT = [alert for alerts in ALERTS.values() for alert in alerts]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels that show something; rows are headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression and where it stands."""
    for recording in RECORDINGS:
        yield recording.name, recording.expr
    for alert in FLAT:
        yield alert.name, alert.expr
    for dashboard in DASHBOARDS.values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{dashboard['title']}: {panel['title']}", target["expr"]


EXPRESSIONS = [*expressions()]


def without_variables(expr: str) -> str:
    """The expression with what Grafana puts in for its variables where all is picked."""
    return re.sub(r'"\$\w+"', '".*"', expr.replace("$__rate_interval", "1m").replace("$__range", "1d"))


def selectors_of(expr: str) -> list[tuple[str, set[str]]]:
    """Name of each series that the expression asks for, and the labels that it picks by."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(
                (
                    str(node.name),
                    set(re.findall(r'Matcher\(MatchOp\.\w+(?:\([^)]*\))?, "(\w+)"', str(node.matchers.matchers))),
                )
            )

    promql_parser.walk(promql_parser.parse(without_variables(expr)), pre_visit=visit)
    return found
