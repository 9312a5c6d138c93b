"""Recording and alerting rules, and what is taken of the Pushgateway, as Prometheus reads them."""

from __future__ import annotations

import yaml

from flows.telemetry.metrics import GROUPING_LABELS, METRICS, PUSH_JOB
from scripts.telemetry.alerts import ALERTS
from scripts.telemetry.model import EVALUATED_EVERY, Alert
from scripts.telemetry.recordings import RECORDINGS

JOB_OF_SOURCE = {"run": PUSH_JOB, "backup": "postgresql"}
"""Who pushes: the job of each source of pushed metrics."""


def pushed_metrics() -> str:
    """What is kept of the Pushgateway's answer: whoever may push there may push a series of any name and labels.

    Without this a push could make `up`, `ALERTS` or another target's counts, as the labels of a push are kept.
    """
    kept, labels = [], {"job", *GROUPING_LABELS}
    for source, job in JOB_OF_SOURCE.items():
        of_source = [one for one in METRICS if one.source == source]
        kept.append(f"(?:{'|'.join(one.name for one in of_source)});{job}")
        labels |= {label for one in of_source for label in one.labels}
    return as_yaml(
        [
            {"source_labels": ["__name__", "job"], "regex": "|".join(kept), "action": "keep"},
            {"regex": "|".join(["__name__", *sorted(labels)]), "action": "labelkeep"},
        ]
    )


def recording_rules() -> str:
    """The rule file of what is recorded."""
    rules = [{"record": one.name, "expr": one.expr} for one in RECORDINGS]
    return as_yaml({"groups": [{"name": "recordings", "rules": rules}]})


def alerting_rules() -> str:
    """The rule file of the alerts, for promtool and for an Alertmanager of the user's own."""
    groups = [
        {"name": group, "interval": EVALUATED_EVERY, "rules": [_rule(alert) for alert in alerts]}
        for group, alerts in ALERTS.items()
    ]
    return as_yaml({"groups": groups})


def _rule(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": f"{alert.for_minutes}m",
        "labels": {"severity": alert.severity},
        "annotations": told(alert),
    }


def told(alert: Alert) -> dict[str, str]:
    """What a person is told."""
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook": alert.runbook,
        "runbook_url": alert.runbook_url,
    }


def as_yaml(tree: object) -> str:
    """A file that says where it comes from."""
    text = yaml.safe_dump(tree, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by `python -m scripts.telemetry`; the definitions are in scripts/telemetry/.\n{text}"
