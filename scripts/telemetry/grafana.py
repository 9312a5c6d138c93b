"""The alerts as Grafana's provisioning reads them: the same conditions, evaluated and notified by Grafana.

The file format is that of Grafana's pkg/services/provisioning/alerting/rules_types.go; the queries and expressions are
built by Grafana's own SDK.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from grafana_foundation_sdk.builders.expr import (
    ExprTypeThresholdConditions,
    ExprTypeThresholdConditionsEvaluator,
    TypeThreshold,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from pydantic import JsonValue

from scripts.telemetry.alerts import ALERTS
from scripts.telemetry.model import DATA_SOURCE, EVALUATED_EVERY, Alert
from scripts.telemetry.prometheus import as_yaml, told

FOLDER = "Taxi Flows"
_QUERIED_SECONDS = 600


def alert_rules() -> str:
    """The provisioning file of the alert rules."""
    groups = [
        {
            "orgId": 1,
            "name": group,
            "folder": FOLDER,
            "interval": EVALUATED_EVERY,
            "rules": [_rule(alert) for alert in alerts],
        }
        for group, alerts in ALERTS.items()
    ]
    return as_yaml({"apiVersion": 1, "groups": groups})


def _rule(alert: Alert) -> dict[str, JsonValue]:
    return {
        "uid": hashlib.sha256(alert.name.encode()).hexdigest()[:16],
        "title": alert.name,
        "condition": "B",
        "data": [_query(alert), _condition(alert)],
        # No series is no fault: what may not vanish is asked for by absent().
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{alert.for_minutes}m",
        "labels": {"severity": alert.severity},
        # $value is a text of all values there.
        "annotations": {name: text.replace("$value ", "$values.A.Value ") for name, text in told(alert).items()},
    }


def _query(alert: Alert) -> JsonValue:
    query = Dataquery().expr(alert.value).instant().ref_id("A")
    return {
        "refId": "A",
        "relativeTimeRange": {"from": _QUERIED_SECONDS, "to": 0},
        "datasourceUid": DATA_SOURCE,
        "model": _model(query.build()),
    }


def _condition(alert: Alert) -> JsonValue:
    kind: Literal["gt", "lt"] = "gt" if alert.comparison == ">" else "lt"
    evaluator = ExprTypeThresholdConditionsEvaluator().type(kind).params([alert.threshold])
    threshold = TypeThreshold().expression("A").conditions([ExprTypeThresholdConditions().evaluator(evaluator)])
    return {"refId": "B", "datasourceUid": "__expr__", "model": _model(threshold.ref_id("B").build())}


def _model(built: object) -> JsonValue:
    tree: JsonValue = json.loads(JSONEncoder().encode(built))
    return tree
