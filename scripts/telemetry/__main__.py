"""Write the files of alerts and dashboards that the charts install."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scripts.telemetry.dashboards import DASHBOARDS
from scripts.telemetry.grafana import alert_rules
from scripts.telemetry.prometheus import alerting_rules, pushed_metrics, recording_rules

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def files() -> Mapping[str, str]:
    """Every written file: its path in the repository and its text."""
    return {
        "charts/prometheus/files/rules/recordings.yaml": recording_rules(),
        "charts/prometheus/files/rules/alerts.yaml": alerting_rules(),
        "charts/prometheus/files/pushed.yaml": pushed_metrics(),
        "charts/grafana/files/alerting/rules.yaml": alert_rules(),
        **{f"charts/grafana/files/dashboards/{name}.json": make() for name, make in DASHBOARDS.items()},
    }


if __name__ == "__main__":
    for path, text in files().items():
        (REPOSITORY / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")
