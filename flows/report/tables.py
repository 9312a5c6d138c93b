"""The tables of a report, as values: the page shows them formatted, the artifacts as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from flows.model.metric import Metric
from flows.model.ranking import ranking
from flows.model.records import ExperimentRecord, PointCounts
from flows.model.sweeps import Agreement, Cell, ComparisonRecord, SweepRecord
from flows.report.measures import MEASURES, measured

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 1000
"""Rows of any table, on the page and as an artifact."""
MAX_FILES = 100

Plain = str | int | float | bool | None
Value = Plain | Metric

REASONS = {
    "null": "no coordinates or no zone id",
    "zero": "longitude or latitude is exactly 0",
    "outside": "outside the city box",
    "unknown_zone": "zone without a place (264, 265 or no polygon)",
    "time": "not at the chosen hours and weekdays",
}


@dataclass(frozen=True)
class Column:
    """A column. title: with its unit. form: format of its numbers, None for text. bar: drawn as a bar as well."""

    title: str
    form: str | None = None
    bar: bool = False


@dataclass(frozen=True)
class Table:
    """A table, cut to at most `MAX_ROWS` rows; note says how many are left out."""

    kind: ClassVar[str] = "table"
    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    n_left_out: int = 0

    @classmethod
    def of(
        cls,
        key: str,
        caption: str,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Value]],
        max_rows: int = MAX_ROWS,
    ) -> Table:
        """A table of the first rows."""
        kept, n_rows = [], 0
        for row in rows:
            n_rows += 1
            if n_rows <= max_rows:
                kept.append(tuple(row))
        return cls(key, caption, tuple(columns), tuple(kept), n_rows - len(kept))

    @property
    def note(self) -> str | None:
        """How many rows are left out, where some are."""
        return f"{self.n_left_out:,} more rows are left out." if self.n_left_out else None

    def share(self, column: int, row: Sequence[Value]) -> float:
        """A bar's length in [0, 1]: the value over the column's largest."""
        top = max((number(one[column]) or 0.0) for one in self.rows)
        return (number(row[column]) or 0.0) / top if top > 0 else 0.0


def plain(value: Value) -> Plain:
    """The value as JSON can hold it: a metric's value, None for what is not finite."""
    if isinstance(value, Metric):
        value = value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: Value) -> float | None:
    """The value as a finite number, None where it is none."""
    found = plain(value)
    return None if found is None or isinstance(found, str) else float(found)


def text(value: Value, form: str | None) -> str:
    """The value as people read it; what is undefined says why, where that is known."""
    found = plain(value)
    if found is None:
        return f"undefined: {value.reason}" if isinstance(value, Metric) and value.reason else "-"
    if isinstance(found, bool):
        return "yes" if found else "no"
    return str(found) if form is None or isinstance(found, str) else format(found, form)


def clusters(frame: pd.DataFrame, used: int, points: str) -> Table:
    """Clusters by size, the largest first.

    Args:
        frame: columns of flows.steps.clusters.SCHEMA.
        used: used points of the experiment, for shares.
        points: what is counted, such as `trips`.
    """
    largest = frame.sort_values(["size", "id"], ascending=[False, True])
    columns = (
        Column("cluster", "d"),
        Column(points, ",d", bar=True),
        Column(f"share of used {points}, %", ".2f"),
        Column("distinct places", ",d"),
        Column("radius, m", ",.0f"),
        Column("zone"),
        Column("longitude, °", ".5f"),
        Column("latitude, °", ".5f"),
    )
    wanted = largest[["id", "size", "n_unique", "radius_m", "zone", "lon", "lat"]]
    rows = (
        (int(number), int(size), 100 * size / used, int(unique), float(radius), _text(zone), float(lon), float(lat))
        for number, size, unique, radius, zone, lon, lat in wanted.itertuples(index=False)
    )
    return Table.of("clusters", f"Clusters by {points}", columns, rows)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def dropped(points: PointCounts, name: str) -> Table:
    """Points left out, by the first reason that applies, then what is left."""
    whole = points.used + sum(points.dropped.values())
    rows = [
        (REASONS[reason], count, 100 * count / whole if whole else None) for reason, count in points.dropped.items()
    ]
    columns = (Column("reason"), Column(name, ",d", bar=True), Column("share, %", ".2f"))
    return Table.of("dropped", f"Dropped {name} by reason", columns, rows)


def timings(seconds: dict[str, float]) -> Table:
    """Seconds by step, in the order of the steps."""
    whole = sum(seconds.values())
    rows = [(step, took, 100 * took / whole if whole else None) for step, took in seconds.items()]
    columns = (Column("step"), Column("time, s", ",.3f", bar=True), Column("share, %", ".1f"))
    return Table.of("timings", "Time by step", columns, rows)


def files(record: ExperimentRecord | SweepRecord | ComparisonRecord) -> Table:
    """The files that were read."""
    columns = (
        Column("file"),
        Column("rows", ",d"),
        Column("skipped rows", ",d"),
        Column("size, MB", ",.2f"),
        Column("dialect"),
        Column("SHA-256"),
    )
    rows = (
        (file.name, file.rows, file.skipped.n, file.size_bytes / 1e6, file.dialect, file.sha256)
        for file in record.source
    )
    return Table.of("files", "Files read", columns, rows, MAX_FILES)


_CELL_MEASURES = (
    "overall_score",
    "silhouette",
    "davies_bouldin",
    "noise_ratio",
    "n_clusters",
    "largest_cluster_share",
    "runtime_seconds",
    "peak_memory_bytes",
)


def cells(record: SweepRecord | ComparisonRecord) -> Table:
    """All cells in the order of the grid; the best ones first where there are more than a table has rows."""
    best = record.cells[record.best] if isinstance(record, SweepRecord) and record.best is not None else None
    names = tuple(dict.fromkeys((record.spec.metric, *_CELL_MEASURES)))
    found, caption = record.cells, f"{len(record.cells):,} cells"
    if len(found) > MAX_ROWS:
        found = tuple(found[index] for index in ranking(found, record.spec.metric))
        caption += ", the best first"
    columns = (
        Column("adapter"),
        Column("eps, km", "g"),
        Column("min_samples, points", ",d"),
        *(Column(MEASURES[name].title, MEASURES[name].form) for name in names),
        Column("note"),
    )
    rows: Iterable[tuple[Value, ...]] = (
        (
            cell.adapter,
            cell.eps,
            cell.min_samples,
            *(_short(measured(cell, name), cell) for name in names),
            _cell_note(cell, cell is best),
        )
        for cell in found
    )
    return Table.of("cells", caption, columns, rows)


def _short(metric: Metric, cell: Cell) -> Metric:
    """Without its reason in a failed cell: the note has it."""
    return Metric(value=None) if cell.status == "failed" else metric


def _cell_note(cell: Cell, best: bool) -> str:
    if cell.status == "failed":
        return f"failed: {cell.reason or 'no reason is recorded'}"
    blob = ["one blob"] if cell.clustering is not None and cell.clustering.one_blob else []
    return ", ".join((["best"] if best else []) + blob)


def agreements(found: Sequence[Agreement], key: str, caption: str) -> Table:
    """How each adapter compares with the first one."""
    columns = (
        Column("adapter"),
        Column("against"),
        Column("eps, km", "g"),
        Column("min_samples, points", ",d"),
        Column("speed-up, times", ",.2f"),
        Column("memory ratio, times", ",.2f"),
        Column("adjusted Rand, -1 to 1", ".6f"),
        Column("labels equal"),
    )
    rows = [
        (
            one.adapter,
            one.reference,
            "all" if one.eps is None else one.eps,
            "all" if one.min_samples is None else one.min_samples,
            one.speed_up,
            one.memory_ratio,
            one.adjusted_rand,
            "not compared" if one.equal is None else one.equal,
        )
        for one in found
    ]
    return Table.of(key, caption, columns, rows)


def history(records: Sequence[ExperimentRecord]) -> Table:
    """Experiments, the newest first."""
    names = ("overall_score", "n_clusters", "noise_ratio", "runtime_seconds")
    columns = (
        Column("created, UTC"),
        Column("experiment"),
        Column("adapter"),
        Column("source"),
        Column("eps, km", "g"),
        Column("min_samples, points", ",d"),
        *(Column(MEASURES[name].title, MEASURES[name].form) for name in names),
    )
    rows: Iterable[tuple[Value, ...]] = (
        (
            record.created.strftime("%Y-%m-%d %H:%M"),
            record.id,
            record.spec.adapter_type,
            source_name(record.spec.data_source),
            record.spec.eps,
            record.spec.min_samples,
            *(measured(record, name) for name in names),
        )
        for record in sorted(records, key=lambda one: one.created, reverse=True)
    )
    return Table.of("history", "Experiments, the newest first", columns, rows)


def source_name(data_source: Sequence[str]) -> str:
    """The source in a few words."""
    first, *others = data_source
    return f"{first} and {len(others):,} more" if others else first
