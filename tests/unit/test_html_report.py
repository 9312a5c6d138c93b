"""The report: what stands on the page, that it is safe, and that it stays small."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from flows.core.crs import LONG_ISLAND_M
from flows.core.errors import ParameterError
from flows.datasets.zones import TLC_CRS, ZoneTable, load_zone_table
from flows.model.metric import Metric
from flows.model.ranking import METRICS
from flows.report import sweep_charts, tables
from flows.report.content import ReportContent
from flows.report.map import MAX_BUBBLES, MAX_HULLS, hot_spots
from flows.report.measures import MEASURES
from flows.report.page import render, write_report
from tests.unit.builders import (
    CREATED,
    a_cell,
    a_cluster_frame,
    a_comparison_record,
    a_counts,
    a_failed_cell,
    a_suggestion,
    a_sweep_record,
    an_aggregate_record,
    an_experiment_record,
)

HOSTILE = "<script>alert('x')</script>&amp;.parquet"
SIX_MB = 6_000_000


@pytest.fixture(scope="module")
def zones(shared_data: Path) -> ZoneTable:
    return load_zone_table(shared_data / "zones")


def figures(page: str) -> dict[str, Any]:
    """The figures of a page by key."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    packed = re.search(r'<script type="application/gzip" id="figures">(.*?)</script>', page)
    assert packed is not None
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])), parse_constant=refuse)
    return found


def visible(page: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_every_metric_of_a_sweep_can_be_shown() -> None:
    assert MEASURES.keys() == METRICS.keys()


def test_a_report_needs_content() -> None:
    with pytest.raises(ParameterError, match="no content"):
        render(ReportContent())


def test_an_experiment_is_told_with_units() -> None:
    record = an_experiment_record()
    page = visible(render(ReportContent(experiment=record, clusters=a_cluster_frame(3))))
    for expected in (
        "0.5 km",
        "49,000",
        "0.731 s",
        "312.0 MiB",
        "8.0 %",
        "0.7312",
        "longitude or latitude is exactly 0",
    ):
        assert expected in page
    assert "Sweep" not in page


def test_what_is_undefined_says_why() -> None:
    record = an_experiment_record(score=Metric(value=None, reason="silhouette is not defined: one cluster"))
    page = visible(render(ReportContent(experiment=record)))
    assert "undefined: silhouette is not defined: one cluster" in page


def test_a_blob_is_flagged() -> None:
    record = an_experiment_record(counts=a_counts(n_clusters=1, one_blob=True))
    assert "One blob" in visible(render(ReportContent(experiment=record)))
    assert "One blob" not in visible(render(ReportContent(experiment=an_experiment_record())))


def test_text_from_data_is_never_markup() -> None:
    cells = [a_failed_cell(0.1, 5, HOSTILE, adapter=HOSTILE), a_cell(0.2, 5, adapter=HOSTILE)]
    frame = a_cluster_frame(3)
    frame["zone"] = HOSTILE
    content = ReportContent(
        experiment=an_experiment_record(source=HOSTILE, adapter=HOSTILE),
        clusters=frame,
        sweep=a_sweep_record(cells, source=HOSTILE),
        comparison=a_comparison_record(adapters=(HOSTILE, "grid")),
        history=(an_experiment_record(source=HOSTILE, adapter=HOSTILE),),
        title=HOSTILE,
    )
    page = render(content)
    assert "<script>alert" not in page
    shown = json.dumps(figures(page))
    assert "<script>" not in shown, "plotly reads tags in the texts of a chart"
    assert "&lt;script&gt;" in shown


def test_the_page_names_nothing_to_load() -> None:
    page = render(ReportContent(sweep=a_sweep_record()))
    assert not re.search(r"(?:src|srcset|action)\s*=", visible(page))
    assert set(re.findall(r'href="([^#"][^"]*)"', visible(page))) == {"data:,"}
    assert "@import" not in page
    assert "url(" not in page


def test_json_holds_neither_nan_nor_infinity() -> None:
    frame = a_cluster_frame(6)
    frame.loc[0, "radius_m"] = math.nan
    figures(render(ReportContent(experiment=an_experiment_record(), clusters=frame, sweep=a_sweep_record())))


def test_a_large_report_stays_below_six_megabytes(zones: ZoneTable) -> None:
    eps, samples = [0.01 * step for step in range(1, 101)], range(2, 102)
    cells = [a_cell(value, count) for value in eps for count in samples]
    history = tuple(an_experiment_record(created=CREATED + timedelta(hours=n), number=n) for n in range(1500))
    content = ReportContent(
        experiment=an_experiment_record(),
        clusters=a_cluster_frame(5000, corners=40),
        zones=zones,
        sweep=a_sweep_record(cells, suggestion=a_suggestion()),
        comparison=a_comparison_record(eps_values=eps),
        aggregate=an_aggregate_record(),
        history=history,
    )
    page = render(content)
    assert len(page.encode()) < SIX_MB
    assert "9,000 more rows are left out" in page
    assert f"the {MAX_BUBBLES:,} largest of 5,000 clusters" in page
    assert f"Hulls are drawn for the {MAX_HULLS:,} largest" in page


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", ReportContent(experiment=an_experiment_record()))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.parametrize("n_clusters", [0, 1, 4])
def test_few_clusters_make_a_map(n_clusters: int, zones: ZoneTable) -> None:
    chart = hot_spots(a_cluster_frame(n_clusters), zones, "trips")
    bubbles = next(trace for trace in chart.figure.data if trace.name == "clusters")
    assert len(bubbles.x) == n_clusters
    low, high = chart.figure.layout.xaxis.range
    assert high - low >= 2


def test_a_map_needs_no_zone_table() -> None:
    chart = hot_spots(a_cluster_frame(4), None, "trips")
    assert [trace.name for trace in chart.figure.data] == ["hulls", "clusters"]
    assert "no zone table" in chart.caption


def drawn(trace: Any, origin_km: NDArray[np.float64]) -> NDArray[np.object_]:
    """What each ring of a filled trace encloses, in kilometres; a gap stands after each ring."""
    xy_km = np.column_stack([trace.x, trace.y]).astype(np.float64) + origin_km
    gaps = np.flatnonzero(np.isnan(xy_km[:, 0]))
    rings = [shapely.Polygon(ring[~np.isnan(ring[:, 0])]) for ring in np.split(xy_km, gaps)]
    return np.asarray(shapely.make_valid(np.array(rings, dtype=object)))


def test_the_area_of_each_zone_is_on_the_map(zones: ZoneTable) -> None:
    frame = a_cluster_frame(1)
    outlines, _, bubble = hot_spots(frame, zones, "trips").figure.data
    origin_km = frame[["x_m", "y_m"]].to_numpy()[0] / 1000 - np.array([bubble.x[0], bubble.y[0]], np.float64)
    to_km = Transformer.from_crs(TLC_CRS, LONG_ISLAND_M, always_xy=True)
    wanted = shapely.transform(zones.polygons, lambda feet: np.column_stack(to_km.transform(*feet.T)) / 1000)
    rings = drawn(outlines, origin_km)
    tree = shapely.STRtree(rings)
    found = [shapely.union_all(shapely.intersection(rings[tree.query(zone)], zone)).area for zone in wanted]
    missing = 1 - np.array(found) / shapely.area(wanted)
    assert missing.max() < 0.2  # borders are simplified, and 150 feet is much of a small island
    assert np.average(missing, weights=shapely.area(wanted)) < 0.01


def total(table: tables.Table, column: int) -> float:
    """Sum of a column of numbers."""
    return sum(tables.number(row[column]) or 0.0 for row in table.rows)


@pytest.mark.parametrize("n_clusters", [0, 7, tables.MAX_ROWS + 20])
def test_a_table_counts_what_it_leaves_out(n_clusters: int) -> None:
    frame = a_cluster_frame(n_clusters)
    found = tables.clusters(frame, int(frame["size"].sum()), "trips")
    assert len(found.rows) + found.n_left_out == n_clusters
    kept = frame["size"].sort_values(ascending=False)[: len(found.rows)]
    assert [row[1] for row in found.rows] == kept.tolist()
    assert total(found, 2) == pytest.approx(100 * kept.sum() / max(frame["size"].sum(), 1))
    assert (found.note is None) == (found.n_left_out == 0)


def test_the_rows_of_each_table_add_up() -> None:
    record = an_experiment_record()
    dropped = tables.dropped(record.points, "trips")
    assert total(dropped, 1) == sum(record.points.dropped.values())
    seconds = tables.timings(record.timings)
    assert total(seconds, 1) == pytest.approx(sum(record.timings.values()))
    assert total(seconds, 2) == pytest.approx(100)


def test_hulls_lie_around_their_bubbles() -> None:
    frame = a_cluster_frame(1)
    figure = hot_spots(frame, None, "trips").figure
    hull, bubble = figure.data
    reach_km = ((hull.x - bubble.x[0]) ** 2 + (hull.y - bubble.y[0]) ** 2) ** 0.5
    assert reach_km == pytest.approx(frame["radius_m"][0] / 1000, rel=1e-3)


def test_a_heat_map_has_each_cell_at_its_place() -> None:
    chart = next(sweep_charts.heat_maps(a_sweep_record()))
    heat = chart.figure.data[0]
    assert [list(row) for row in heat.z][:3] == [
        [0.5312, 0.6121, 0.5544],
        [0.7023, 0.6891, 0.6412],
        [0.6102, 0.5523, 0.4811],
    ]
    assert list(chart.figure.layout.yaxis.ticktext) == ["0.05", "0.1", "0.2", "0.5"]
    assert list(chart.figure.layout.xaxis.ticktext) == ["5", "10", "20"]


def test_a_heat_map_marks_best_blob_failed_and_undefined() -> None:
    chart = next(sweep_charts.heat_maps(a_sweep_record()))
    scatters = [trace for trace in chart.figure.data if trace.type == "scatter" and trace.mode == "markers"]
    marks = {trace.name: (round(trace.x[0]), round(trace.y[0])) for trace in scatters}
    assert marks == {"best": (0, 1), "one blob": (0, 3), "failed": (1, 3), "undefined": (2, 3)}
    heat = chart.figure.data[0]
    assert heat.z[3][0] is None, "a blob ranks after the others, so its score gets no bright colour"
    assert "31.2 GiB" in heat.hovertext[3][1]
    assert "one cluster" in heat.hovertext[3][2]


def test_the_best_value_has_its_unit() -> None:
    record = a_sweep_record([a_cell(0.1, 5, runtime_seconds=0.2)])
    timed = record.model_copy(update={"spec": record.spec.model_copy(update={"metric": "runtime_seconds"})})
    assert "<strong>0.200 s</strong>" in visible(render(ReportContent(sweep=timed)))


def test_a_large_grid_tells_values_on_hover_alone() -> None:
    cells = [a_cell(0.1 * step, count) for step in range(1, 22) for count in range(2, 22)]
    chart = next(sweep_charts.heat_maps(a_sweep_record(cells)))
    assert all(trace.mode != "text" for trace in chart.figure.data if trace.type == "scatter")
    assert "0.6000" in chart.figure.data[0].hovertext[20][19]


def test_a_curve_has_its_knee_and_the_suggestions() -> None:
    curve = a_suggestion()
    figure = sweep_charts.k_distance(curve).figure
    knee = figure.data[1]
    assert (list(knee.y), knee.name) == ([130.0], "knee, 130 m")
    assert [shape.y0 for shape in figure.layout.shapes] == [1000 * eps for eps in curve.eps_values]


def test_charts_are_there_for_each_part() -> None:
    history = tuple(an_experiment_record(number=n, created=CREATED + timedelta(days=n)) for n in range(3))
    content = ReportContent(
        comparison=a_comparison_record(),
        aggregate=an_aggregate_record(),
        history=history,
        sweep=a_sweep_record(suggestion=a_suggestion()),
    )
    assert list(figures(render(content))) == [
        "heat-map-1",
        "k-distance",
        "comparison-runtime-seconds",
        "comparison-peak-memory-bytes",
        "aggregate-overall-score",
        "aggregate-runtime-seconds",
        "history-overall-score",
        "history-runtime-seconds",
    ]


def test_clusters_are_listed_the_largest_first() -> None:
    table = tables.clusters(a_cluster_frame(1200).iloc[::-1], 49_000, "trips")
    assert len(table.rows) == tables.MAX_ROWS
    assert table.n_left_out == 200
    assert table.rows[0][:2] == (0, 20_000)
    assert table.rows[6][5] is None


def test_ids_are_unique() -> None:
    record = an_experiment_record()
    content = ReportContent(
        experiment=record, sweep=a_sweep_record(), comparison=a_comparison_record(), history=(record,)
    )
    ids = re.findall(r'\bid="([^"]+)"', render(content))
    assert len(ids) == len(set(ids))
