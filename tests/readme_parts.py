"""The parts of README.md that are written by a program; `python -m tests.readme_parts` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from flows.core.settings import Settings
from flows.telemetry.metrics import GROUPING_LABELS, METRICS, MetricDefinition
from scripts.objects.crd import reference
from scripts.telemetry.alerts import ALERTS
from scripts.telemetry.model import Alert

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"


def settings_table() -> str:
    """Every setting: its environment variable, default and meaning."""
    rows = [f"| `{variable}` | {default} | {meaning} |" for variable, default, meaning in _settings(Settings, "TAXI_")]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            own_names = issubclass(inner, BaseSettings)
            nested = str(inner.model_config.get("env_prefix", "")) if own_names else f"{prefix}{name.upper()}__"
            yield from _settings(inner, nested)
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            yield f"{prefix}{name.upper()}", _text(default), field.description or ""


def _text(default: object) -> str:
    if default is None:
        return "unset"
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text.replace(str(Path.home()), '~')}`"


def metrics_table() -> str:
    """Every metric: its name, type, unit, labels and help."""
    rows = [f"| `{one.name}` | {one.type} | {one.unit} | {_labels(one)} | {one.help} |" for one in METRICS]
    return "\n".join(["| metric | type | unit | labels | meaning |", "| --- | --- | --- | --- | --- |", *rows])


def _labels(metric: MetricDefinition) -> str:
    names = (*GROUPING_LABELS, *metric.labels) if metric.source == "run" else metric.labels
    return ", ".join(f"`{name}`" for name in names)


def benchmark_tables() -> str:
    """The tables of benchmarks/results, one after the other."""
    results = sorted((REPOSITORY / "benchmarks" / "results").glob("*.md"))
    tables = [re.findall(r"^\|.*\|$", result.read_text(encoding="utf-8"), re.MULTILINE) for result in results]
    return "\n\n".join("\n".join(table) for table in tables)


def faults_table() -> str:
    """What `make soak` observed of each fault."""
    return (REPOSITORY / "tests" / "cluster" / "faults.md").read_text(encoding="utf-8").strip()


def runbooks() -> str:
    """What to do about each alert, under a heading of its name."""
    alerts = [alert for group in ALERTS.values() for alert in group]
    return "\n\n".join(f"#### {one.name}\n\n{_when(one)} {one.runbook}" for one in alerts)


def _when(alert: Alert) -> str:
    summary = re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}", lambda match: match[1].upper(), alert.summary)
    waits = f" for {alert.for_minutes} minutes" if alert.for_minutes else ""
    return f"*{alert.severity}: {summary}{waits}.*"


PARTS = {
    "settings": settings_table,
    "metrics": metrics_table,
    "runbooks": runbooks,
    "faults": faults_table,
    "benchmarks": benchmark_tables,
    "objects": reference,
}


def with_parts(text: str) -> str:
    """The README's text with each part, from `<!-- name -->` to `<!-- end -->`, as it should be."""
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- {name}\b[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
        body = make()
        text, found = pattern.subn(lambda match, body=body: f"{match[1]}\n{body}\n\n{match[2]}", text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"README.md has {found} parts `<!-- {name} -->`, and needs one.")
    return text


if __name__ == "__main__":
    README.write_text(with_parts(README.read_text(encoding="utf-8")), encoding="utf-8")
