"""What an alert and a recording rule are, whoever evaluates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFECT_UI = "http://localhost:4200"
"""Where links lead; the charts put their value `prefectUiUrl` in its place."""

DOCS = "http://localhost:8000"
"""Where the documentation is served; the charts put their value `docsUrl` in its place."""

DATA_SOURCE = "prometheus"
"""uid of Grafana's data source, which charts/grafana provisions."""

EVALUATED_EVERY = "1m"


@dataclass(frozen=True)
class Recording:
    """A query that Prometheus keeps the result of, under the name level:metric:operation."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """A condition on the value of each series of a query.

    name: also the title in Grafana and of its section in the runbook.
    value: PromQL; where it has no series, nothing is wrong.
    comparison, threshold: the alert holds for every series whose value is above or below the threshold.
    for_minutes: how long it must hold.
    summary, description: Prometheus's templates; $labels and $value are known to Grafana too.
    runbook: what to do, as Markdown.
    """

    name: str
    value: str
    severity: Literal["critical", "warning"]
    summary: str
    description: str
    runbook: str
    comparison: Literal[">", "<"] = ">"
    threshold: float = 0
    for_minutes: int = 0

    @property
    def expr(self) -> str:
        """The condition as one PromQL expression."""
        return f"({self.value}) {self.comparison} {self.threshold:g}"

    @property
    def runbook_url(self) -> str:
        """Address of the alert's section in the runbook, docs/operations/runbook.md."""
        return f"{DOCS}/operations/runbook.html#{self.name.lower()}"
