"""The report as one HTML file: no network, light and dark, readable on a phone.

plotly.js and the figures travel inside the file, compressed, and the browser unpacks them (`DecompressionStream`:
browsers since 2023). Where it can't, the tables still hold every number.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from flows import __version__
from flows.core.atomic import replacing
from flows.core.errors import ParameterError
from flows.model.records import ExperimentRecord
from flows.model.sweeps import AggregateRecord, ComparisonRecord, SweepRecord
from flows.report import aggregate_tables, run_charts, summary, sweep_charts, tables
from flows.report.content import ReportContent
from flows.report.figure import Chart
from flows.report.map import hot_spots

Block = Chart | tables.Table | summary.Tiles | summary.Facts


@dataclass(frozen=True)
class Section:
    """A part of the page under its own heading. folded: opened by the reader."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report to a file, whole or not at all.

    Raises:
        ParameterError: the content is empty.
        OSError: the file can't be written.
    """
    page = render(content).encode()
    with replacing(path) as file:
        file.write(page)


def render(content: ReportContent) -> str:
    """The page.

    Raises:
        ParameterError: the content is empty.
    """
    sections = tuple(_sections(content))
    if not sections:
        raise ParameterError("the report has no content: give an experiment, a sweep, a comparison or an aggregate.")
    charts = [block for section in sections for block in section.blocks if isinstance(block, Chart)]
    template = _environment().get_template("page.html.j2")
    return template.render(
        title=content.title or _title(content),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        sections=sections,
        charts=charts,
        figures=_packed(_json(charts)) if charts else "",
        library=_library() if charts else "",
        library_version=get_plotlyjs_version(),
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flows.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(text=tables.text)
    return environment


@lru_cache(maxsize=1)
def _library() -> str:
    return _packed(get_plotlyjs())


def _json(charts: Sequence[Chart]) -> str:
    figures = (f"{json.dumps(chart.key)}:{chart.figure.to_json()}" for chart in charts)
    return f"{{{','.join(figures)}}}"


def _packed(text: str) -> str:
    """Gzip in base64: plotly.js takes 2.0 MB then, not 4.8, and no character of it can end its script element."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _title(content: ReportContent) -> str:
    if content.experiment is not None:
        return f"Hot spots in {tables.source_name(content.experiment.spec.data_source)}"
    if content.sweep is not None:
        return f"Sweep over {tables.source_name(content.sweep.spec.data_source)}"
    if content.comparison is not None:
        return f"Adapters on {tables.source_name(content.comparison.spec.data_source)}"
    if content.aggregate is not None:
        return f"Experiments from {content.aggregate.first_day} to {content.aggregate.last_day}"
    return "Experiments over time"


def _sections(content: ReportContent) -> Iterator[Section]:
    if content.experiment is not None:
        yield from _experiment(content, content.experiment)
    if content.sweep is not None:
        yield from _sweep(content.sweep)
    if content.comparison is not None:
        yield from _comparison(content.comparison)
    if content.aggregate is not None:
        yield from _aggregate(content.aggregate)
    if content.history:
        charts = tuple(run_charts.history(content.history))
        yield Section("history", "History", (*charts, tables.history(content.history)))


def _experiment(content: ReportContent, record: ExperimentRecord) -> Iterator[Section]:
    points = summary.points_name(record.spec.coordinate_type)
    yield Section("summary", "Summary", (summary.experiment_tiles(record),))
    if content.clusters is not None:
        found = tables.clusters(content.clusters, record.points.used, points)
        yield Section("map", "Map of hot spots", (hot_spots(content.clusters, content.zones, points), found))
    data, *facts = summary.experiment_facts(record)
    dropped, timings = tables.dropped(record.points, points), tables.timings(record.timings)
    yield Section("numbers", "All numbers", (data, dropped, *facts, timings))
    yield _provenance("experiment", record)


def _sweep(record: SweepRecord) -> Iterator[Section]:
    points = summary.points_name(record.spec.coordinate_type)
    charts = tuple(sweep_charts.heat_maps(record))
    yield Section("sweep", "Sweep", (summary.sweep_tiles(record), *charts, tables.cells(record)))
    if record.suggestion is not None:
        yield Section("suggestion", "Suggested eps", (sweep_charts.k_distance(record.suggestion),))
    yield _asked("sweep", record, points)
    yield _provenance("sweep", record)


def _comparison(record: ComparisonRecord) -> Iterator[Section]:
    points = summary.points_name(record.spec.coordinate_type)
    blocks: tuple[Block, ...] = (
        summary.comparison_tiles(record),
        *run_charts.comparison(record),
        tables.agreements(record.overall, "agreement", "Agreement and speed over all settings"),
        tables.agreements(record.by_cell, "agreement-by-cell", "Agreement and speed by setting"),
        tables.cells(record),
    )
    yield Section("comparison", "Adapters side by side", blocks)
    yield _asked("comparison", record, points)
    yield _provenance("comparison", record)


def _aggregate(record: AggregateRecord) -> Iterator[Section]:
    found = (aggregate_tables.statistics(record), aggregate_tables.tests(record), aggregate_tables.trends(record))
    blocks: tuple[Block, ...] = (summary.aggregate_tiles(record), *run_charts.aggregate(record), *found)
    yield Section("aggregate", "Statistics", blocks)
    made = (summary.environment_facts(record),)
    yield Section("aggregate-made", "How the statistics were made", made, folded=True)


def _asked(key: str, record: SweepRecord | ComparisonRecord, points: str) -> Section:
    half_tables = (tables.dropped(record.points, points), tables.timings(record.timings))
    return Section(f"{key}-asked", f"Data and grid of the {key}", (*summary.grid_facts(record), *half_tables))


def _provenance(key: str, record: summary.Run) -> Section:
    blocks = (tables.files(record), summary.environment_facts(record))
    return Section(f"{key}-made", f"How the {key} was made", blocks, folded=True)
