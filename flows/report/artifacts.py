"""The facts of a report as payloads of Prefect artifacts: a table, a summary in Markdown and a link.

Pure functions; whoever calls Prefect passes them on. Rows hold plain JSON alone: no NaN, no infinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flows.model.records import ExperimentRecord
from flows.model.sweeps import AggregateRecord, ComparisonRecord, SweepRecord
from flows.report import aggregate_tables, summary, tables
from flows.report.tables import Plain, Table, plain

Row = dict[str, Plain]
AnyRecord = ExperimentRecord | SweepRecord | ComparisonRecord | AggregateRecord


def key(*parts: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes, such as `evaluation-pipeline-clusters`."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def rows(table: Table) -> list[Row]:
    """The rows of a table by column title, at most 1,000; what is undefined is None."""
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, map(plain, row), strict=True)) for row in table.rows]


def main_table(record: SweepRecord | ComparisonRecord | AggregateRecord) -> Table:
    """The table that a record is about; of an experiment it is `tables.clusters`."""
    if isinstance(record, AggregateRecord):
        return aggregate_tables.statistics(record)
    return tables.cells(record)


def markdown(record: AnyRecord, link: str | None = None) -> str:
    """What the report says in short, as Markdown.

    Args:
        link: where the report is, such as a URL or a path.
    """
    lines = [f"# {escape(record.flow)} {record.id}", ""]
    lines += _bullets((tile.label, f"{tile.value} {tile.note}".strip()) for tile in _tiles(record).tiles)
    for facts in _facts(record):
        lines += ["", f"## {facts.caption}", "", *_bullets(facts.facts)]
    if isinstance(record, ComparisonRecord):
        lines += ["", "## Agreement over all settings", "", *_pipe_table(tables.agreements(record.overall, "", ""))]
    if not isinstance(record, AggregateRecord):
        points = summary.points_name(record.spec.coordinate_type)
        lines += ["", f"## Dropped {points}", "", *_pipe_table(tables.dropped(record.points, points))]
        lines += ["", "## Time by step", "", *_pipe_table(tables.timings(record.timings))]
    if link is not None:
        lines += ["", f"Report: {escape(link)}"]
    return "\n".join(lines) + "\n"


def link_text(record: AnyRecord) -> str:
    """The words of a link to the report."""
    return f"Report of {record.flow} {record.id}"


def escape(text: str) -> str:
    """Text from data, so that Markdown takes it as it is: no tag, no link, no emphasis, no table cell."""
    return re.sub(r"([\\`*_\[\]<>|#&!~])", r"\\\1", " ".join(text.split()))


def _tiles(record: AnyRecord) -> summary.Tiles:
    if isinstance(record, ExperimentRecord):
        return summary.experiment_tiles(record)
    if isinstance(record, SweepRecord):
        return summary.sweep_tiles(record)
    if isinstance(record, ComparisonRecord):
        return summary.comparison_tiles(record)
    return summary.aggregate_tiles(record)


def _facts(record: AnyRecord) -> Sequence[summary.Facts]:
    if isinstance(record, ExperimentRecord):
        return summary.experiment_facts(record)
    return () if isinstance(record, AggregateRecord) else summary.grid_facts(record)


def _bullets(facts: Iterable[summary.Fact]) -> list[str]:
    return [f"- **{escape(name)}**: {escape(value)}" for name, value in facts]


def _pipe_table(table: Table) -> list[str]:
    head = [escape(column.title) for column in table.columns]
    body = [
        [escape(tables.text(value, column.form)) for column, value in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]
    ruler = ["---" if column.form is None else "---:" for column in table.columns]
    return [f"| {' | '.join(cells)} |" for cells in (head, ruler, *body)]
