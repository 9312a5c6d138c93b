"""The metrics as a report shows them: title with unit, and digits. flows.model.ranking says how each is read."""

from __future__ import annotations

from dataclasses import dataclass

from flows.model.metric import Metric
from flows.model.ranking import METRICS, check_metric
from flows.model.records import ExperimentRecord
from flows.model.sweeps import Cell

MIB = 2**20


@dataclass(frozen=True)
class Measure:
    """How one metric is shown. unit: or the range of a plain number. factor: from the recorded unit to that."""

    name: str
    unit: str
    form: str
    factor: float = 1.0

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def suffix(self) -> str:
        """What follows a value in a sentence: the unit, and nothing for the range of a plain number."""
        return f" {self.unit}" if self.unit and " " not in self.unit else ""


MEASURES = {
    "overall_score": Measure("overall score", "0 to 1", ".4f"),
    "silhouette": Measure("silhouette", "-1 to 1", ".4f"),
    "davies_bouldin": Measure("Davies-Bouldin", "0 up", ",.3f"),
    "calinski_harabasz": Measure("Calinski-Harabasz", "0 up", ",.0f"),
    "noise_ratio": Measure("noise", "%", ".1f", 100),
    "largest_cluster_share": Measure("largest cluster", "%", ".1f", 100),
    "n_clusters": Measure("clusters", "", ",.0f"),
    "runtime_seconds": Measure("fit time", "s", ",.3f"),
    "cpu_seconds": Measure("CPU time", "s", ",.3f"),
    "points_per_second": Measure("points per second", "", ",.0f"),
    "peak_memory_bytes": Measure("peak memory", "MiB", ",.1f", 1 / MIB),
}
"""One per metric of flows.model.ranking.METRICS."""


def measured(judged: ExperimentRecord | Cell, name: str) -> Metric:
    """The metric in the unit of its title; of a failed cell undefined, with the cell's reason.

    Raises:
        ParameterError: no metric has this name.
    """
    kind = check_metric(name)
    if isinstance(judged, Cell) and judged.status == "failed":
        return Metric(value=None, reason=f"failed: {judged.reason or 'no reason was recorded'}")
    found = kind.read(judged)
    return found if found.value is None else Metric(value=found.value * MEASURES[name].factor)


def title(name: str) -> str:
    """A metric's title with its unit; the name itself where this version does not know it."""
    return MEASURES[name].title if name in MEASURES else name


def heading(name: str) -> str:
    """A metric's name, as a heading begins."""
    found = MEASURES[name].name if name in MEASURES else name
    return found[:1].upper() + found[1:]


def in_unit(name: str, value: float | None) -> float | None:
    """A recorded number in the unit of `title`."""
    return None if value is None else value * (MEASURES[name].factor if name in MEASURES else 1.0)


def lower_is_better(name: str) -> bool:
    """Whether a smaller value of the metric is the better one."""
    return METRICS[name].better == "lowest"


def show(metric: Metric, form: str, unit: str = "") -> str:
    """The value with its unit, or that it is not defined and why."""
    if metric.value is None:
        return f"undefined: {metric.reason}" if metric.reason else "undefined"
    return f"{metric.value:{form}}{unit}"
