"""The charts of a sweep: the heat map of its cells, and the k-distance curve that eps values follow from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.model.sweeps import Cell, KDistances, SweepRecord
from flows.report.figure import BLACK, HEAT, HOT, INK, MUTED, SERIES, SURFACE, WHITE, Chart, label, new_figure
from flows.report.measures import MEASURES, heading, lower_is_better, measured, show
from flows.report.tables import number

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_TEXTS = 400
"""Cells that carry their value as text; the cells of a larger grid tell it on hover."""

_CELL_WIDTH_PX, _CELL_HEIGHT_PX, _SMALL_CELL_PX = 56, 44, 12
_MAX_TICKS = 30
_BLOB = "One blob: one cluster holds more than half of the points"
_DARK_HALF = 0.48
"""Below this share of cividis white is the clearer text, above it black; the contrast is 4.5 or more."""


@dataclass(frozen=True, eq=False)
class _Grid:
    """The cells of one adapter, by row (eps, ascending) and column (min_samples, ascending).

    best: the sweep's best cell, where it is one of these.
    """

    metric: str
    eps: tuple[float, ...]
    min_samples: tuple[int, ...]
    cells: dict[tuple[int, int], Cell]
    best: Cell | None

    @property
    def small(self) -> bool:
        """Whether cells are too small for text."""
        return len(self.eps) * len(self.min_samples) > MAX_TEXTS

    def value(self, cell: Cell) -> float | None:
        """The metric of a cell."""
        return number(measured(cell, self.metric))

    def coloured(self, cell: Cell) -> bool:
        """Whether colour tells the value: under overall_score blobs rank after all others, so they are left pale."""
        return self.value(cell) is not None and not (self.metric == "overall_score" and _is_blob(cell))


def _is_blob(cell: Cell) -> bool:
    return cell.clustering is not None and cell.clustering.one_blob


def heat_maps(record: SweepRecord) -> Iterator[Chart]:
    """The metric over eps and min_samples, one chart per adapter."""
    eps, min_samples = sorted(record.spec.eps_values), sorted(record.spec.min_samples_values)
    for index, adapter in enumerate(record.spec.adapters):
        cells = {
            (eps.index(cell.eps), min_samples.index(cell.min_samples)): cell
            for cell in record.cells
            if cell.adapter == adapter
        }
        best = record.cells[record.best] if record.best is not None else None
        grid = _Grid(record.spec.metric, tuple(eps), tuple(min_samples), cells, best)
        yield _heat_map(grid, adapter, f"heat-map-{index + 1}")


def _heat_map(grid: _Grid, adapter: str, key: str) -> Chart:
    figure = new_figure()
    _add_heat(figure, grid)
    _add_texts(figure, grid)
    _add_marks(figure, grid)
    _set_axes(figure, grid)
    row_px, column_px = (_SMALL_CELL_PX, _SMALL_CELL_PX) if grid.small else (_CELL_HEIGHT_PX, _CELL_WIDTH_PX)
    better = "Lower" if lower_is_better(grid.metric) else "Higher"
    n_eps, n_min_samples = len(grid.eps), len(grid.min_samples)
    return Chart(
        key=key,
        title=f"{heading(grid.metric)} by eps and min_samples, {adapter}",
        label=f"Heat map of {grid.metric} over {n_eps} eps and {n_min_samples} min_samples values; the table has all",
        figure=figure,
        caption=f"{better} is better, and brighter. Hover over a cell for more of its numbers; the table has them too."
        + (f" {_BLOB}." if any(_is_blob(cell) for cell in grid.cells.values()) else ""),
        height_px=170 + max(n_eps * row_px, 120),
        min_width_px=110 + n_min_samples * column_px,
    )


def _add_heat(figure: go.Figure, grid: _Grid) -> None:
    values: list[list[float | None]] = [[None] * len(grid.min_samples) for _ in grid.eps]
    hover = [["not run"] * len(grid.min_samples) for _ in grid.eps]
    for (row, column), cell in grid.cells.items():
        values[row][column] = grid.value(cell) if grid.coloured(cell) else None
        hover[row][column] = _hover(cell, grid)
    figure.add_heatmap(
        z=values,
        hovertext=hover,
        hoverinfo="text",
        colorscale=HEAT,
        reversescale=lower_is_better(grid.metric),
        xgap=1,
        ygap=1,
        showscale=any(value is not None for row in values for value in row),
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "nticks": 5,
        },
    )


def _add_texts(figure: go.Figure, grid: _Grid) -> None:
    """The values, black or white by what their cell's colour needs; plotly's own choice is too faint in the middle."""
    valued = [(place, cell, value) for place, cell in grid.cells.items() if (value := grid.value(cell)) is not None]
    if grid.small or not valued:
        return
    span = [value for _, cell, value in valued if grid.coloured(cell)]
    colours = [_text_colour(value, span, grid.metric) if grid.coloured(cell) else INK for _, cell, value in valued]
    figure.add_scatter(
        x=[column for (_, column), _, _ in valued],
        y=[row for (row, _), _, _ in valued],
        text=[format(value, MEASURES[grid.metric].form) for _, _, value in valued],
        mode="text",
        textfont={"color": colours},
        hoverinfo="skip",
        showlegend=False,
    )


def _text_colour(value: float, span: Sequence[float], metric: str) -> str:
    low, high = min(span), max(span)
    share = (value - low) / (high - low) if high > low else 0.0
    brightness = 1 - share if lower_is_better(metric) else share
    return BLACK if brightness > _DARK_HALF else WHITE


def _add_marks(figure: go.Figure, grid: _Grid) -> None:
    """Symbols, with a legend above: in the upper corners beside a value, in the middle where there is none."""
    corner = 0.0 if grid.small else 0.36
    size = 6 if grid.small else 9
    at = list(grid.cells.items())
    best = [place for place, cell in at if cell is grid.best]
    blobs = [place for place, cell in at if _is_blob(cell)]
    failed = [place for place, cell in at if cell.status == "failed"]
    undefined = [place for place, cell in at if cell.status == "ok" and grid.value(cell) is None]
    for row, column in best:
        corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", **corners, line={"color": HOT, "width": 3})
    filled = {"size": size, "color": SURFACE, "line": {"color": INK, "width": 1}}
    bare = {"size": size, "color": MUTED, "line": {"color": MUTED, "width": 2}}
    _add_mark(figure, "best", best, -corner, {**filled, "symbol": "star", "size": size + 4})
    _add_mark(figure, "one blob", blobs, corner, {**filled, "symbol": "circle"})
    _add_mark(figure, "failed", failed, 0.0, {**bare, "symbol": "x"})
    _add_mark(figure, "undefined", undefined, 0.0, {**bare, "symbol": "line-ew"})


def _add_mark(
    figure: go.Figure, name: str, places: Sequence[tuple[int, int]], shift: float, marker: dict[str, object]
) -> None:
    if places:
        figure.add_scatter(
            x=[column + shift for _, column in places],
            y=[row + 0.8 * abs(shift) for row, _ in places],
            name=name,
            mode="markers",
            hoverinfo="skip",
            marker=marker,
        )


def _set_axes(figure: go.Figure, grid: _Grid) -> None:
    eps, min_samples = [f"{value:g}" for value in grid.eps], [f"{value:,}" for value in grid.min_samples]
    for axis, title, texts in (("xaxis", "min_samples, points", min_samples), ("yaxis", "eps, km", eps)):
        step = -(-len(texts) // _MAX_TICKS)
        figure.layout[axis].update(
            title={"text": title},
            tickvals=list(range(0, len(texts), step)),
            ticktext=texts[::step],
            range=[-0.5, len(texts) - 0.5],
            showgrid=False,
            zeroline=False,
            fixedrange=len(texts) <= _MAX_TICKS,
        )
    figure.update_layout(showlegend=True, margin={"b": 80, "t": 48})


def _hover(cell: Cell, grid: _Grid) -> str:
    measure = MEASURES[grid.metric]
    lines = [
        f"<b>eps {cell.eps:g} km, min_samples {cell.min_samples:,}</b>{', the best' if cell is grid.best else ''}",
        f"{measure.title}: {label(show(measured(cell, grid.metric), measure.form))}",
    ]
    if cell.status == "ok" and cell.clustering is not None and cell.performance is not None:
        noise = label(show(measured(cell, "noise_ratio"), ".1f", " %"))
        lines.append(f"{cell.clustering.n_clusters:,} clusters, noise {noise}")
        lines.append(f"fit {cell.performance.runtime_seconds:,.3f} s")
    if _is_blob(cell):
        lines.append(_BLOB)
    return "<br>".join(lines)


def k_distance(curve: KDistances) -> Chart:
    """Distances to the k-th trip, ascending, with the knee and the eps values that are suggested."""
    last = len(curve.distances_m) - 1
    shares = [100 * index / last if last else 100.0 for index in range(last + 1)]
    top_m = min(curve.distances_m[-1], 1.6 * max(1000 * max(curve.eps_values), curve.knee_m))
    knee_at = min(range(last + 1), key=lambda index: abs(curve.distances_m[index] - curve.knee_m))
    figure = new_figure()
    for eps in curve.eps_values:
        figure.add_hline(
            y=1000 * eps,
            line={"color": MUTED, "width": 1, "dash": "dot"},
            layer="below",
            annotation={"text": f"eps {eps:g} km", "font": {"color": MUTED, "size": 11}},
            annotation_position="top left",
        )
    hover = "%{x:.1f} % of trips have their k-th trip within %{y:,.0f} m<extra></extra>"
    curve_line = {"color": SERIES[0], "width": 2.5}
    figure.add_scatter(
        x=shares, y=curve.distances_m, name="k-distance", mode="lines", line=curve_line, hovertemplate=hover
    )
    figure.add_scatter(
        x=[shares[knee_at]],
        y=[curve.knee_m],
        name=f"knee, {curve.knee_m:,.0f} m",
        mode="markers",
        marker={"color": SERIES[1], "symbol": "diamond", "size": 12, "line": {"color": SURFACE, "width": 1}},
        hovertemplate=f"knee at {curve.knee_m:,.0f} m<extra></extra>",
    )
    figure.update_xaxes(title_text="sampled trips, %", range=[0, 100], tick0=0, dtick=20, zeroline=False)
    figure.update_layout(margin={"r": 28})
    figure.update_yaxes(title_text=f"{curve.k:,}-distance, m", range=[0, max(top_m, 1)], zeroline=False)
    middle = (
        "The suggested eps values are 0.5 to 2 times the knee."
        if curve.limit_m is None
        else f"Above {curve.limit_m:,.0f} m one cluster holds more than half of the trips, so the suggested eps values "
        "lie around that."
    )
    cut = "" if top_m >= curve.distances_m[-1] else f" The curve goes on to {curve.distances_m[-1]:,.0f} m."
    return Chart(
        key="k-distance",
        title="",
        label=f"Curve of the distance to trip {curve.k}, with its knee at {curve.knee_m:,.0f} m",
        figure=figure,
        caption=(
            f"Distance of {curve.sample_size:,} sampled trips to their k-th trip, k = {curve.k:,} with the trip "
            f"itself, in ascending order. {middle}{cut}"
        ),
        height_px=380,
    )
