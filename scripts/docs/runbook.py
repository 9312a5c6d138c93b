"""What to do about each alert, from scripts/telemetry/alerts.py."""

from __future__ import annotations

import re

from scripts.telemetry.alerts import ALERTS
from scripts.telemetry.model import Alert


def alerts() -> str:
    """Each alert under a heading of its name, which `Alert.runbook_url` links to."""
    return "\n\n".join(_section(alert) for group in ALERTS.values() for alert in group)


def _section(alert: Alert) -> str:
    fires = f"after {alert.for_minutes} minutes" if alert.for_minutes else "at once"
    told = _filled_in(f"*{alert.severity}, {fires}*: {alert.summary}. {alert.description}")
    return f"## {alert.name}\n\n{told}\n\n**What to do.** {alert.runbook}"


def _filled_in(template: str) -> str:
    """The template with each label and the value as a word in capitals."""
    return re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}", lambda match: match[1].upper(), template)
