"""The charts of several runs: adapters side by side, experiments over time, aggregates with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from flows.model.records import ExperimentRecord
from flows.model.sweeps import AggregateRecord, Cell, ComparisonRecord, Statistic
from flows.report.figure import SERIES, SYMBOLS, Chart, label, log_axis, new_figure
from flows.report.measures import MEASURES, heading, in_unit, measured, show, title
from flows.report.tables import source_name

MAX_SETTINGS = 60
MAX_EXPERIMENTS = 1000

_ROW_PX = 26


def comparison(record: ComparisonRecord) -> Iterator[Chart]:
    """Runtime and memory of each adapter in each setting, on a logarithmic scale."""
    for name in ("runtime_seconds", "peak_memory_bytes"):
        chart = _by_setting(record, name)
        if chart is not None:
            yield chart


def _by_setting(record: ComparisonRecord, name: str) -> Chart | None:
    """One row per setting, one symbol per adapter; None where nothing was measured."""
    settings = list(dict.fromkeys((cell.eps, cell.min_samples) for cell in record.cells))
    shown = settings[:MAX_SETTINGS]
    rows = {setting: index for index, setting in enumerate(shown)}
    figure, measure = new_figure(), MEASURES[name]
    for adapter, colour, symbol in zip(record.spec.adapters, cycle(SERIES), cycle(SYMBOLS), strict=False):
        found = _positive(record.cells, adapter, name, rows)
        figure.add_scatter(
            x=[value for _, value in found],
            y=[row for row, _ in found],
            name=label(adapter),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            hovertemplate=f"{label(adapter)}<br>%{{x:{measure.form}}}<br>%{{y}}<extra></extra>",
        )
    values = [value for trace in figure.data for value in trace.x]
    if not values:
        return None
    texts = [f"{eps:g} km · {min_samples:,}" for eps, min_samples in shown]
    ends = [-0.6, len(shown) - 0.4]
    figure.update_xaxes(title_text=f"{measure.title}, logarithmic", **log_axis(values))
    figure.update_yaxes(tickvals=list(range(len(shown))), ticktext=texts, range=ends[::-1], fixedrange=True)
    figure.update_layout(showlegend=True)
    left_out = len(settings) - len(shown)
    return Chart(
        key=f"comparison-{name.replace('_', '-')}",
        title=f"{heading(name)} by setting",
        label=f"{measure.title} of {len(record.spec.adapters)} adapters in {len(shown)} settings; the table has all",
        figure=figure,
        caption="A row is a setting: eps · min_samples. Further left is better."
        + (f" {left_out:,} more settings are in the table only." if left_out else ""),
        height_px=130 + _ROW_PX * len(shown),
    )


def _positive(
    cells: Sequence[Cell], adapter: str, name: str, rows: dict[tuple[float, int], int]
) -> list[tuple[int, float]]:
    """Row and value of each cell of the adapter that a logarithmic axis can show."""
    found = []
    for cell in cells:
        row, value = rows.get((cell.eps, cell.min_samples)), measured(cell, name).value
        if cell.adapter == adapter and row is not None and value is not None and value > 0:
            found.append((row, value))
    return found


def history(records: Sequence[ExperimentRecord]) -> Iterator[Chart]:
    """Score and runtime of experiments over time, by adapter."""
    newest = sorted(records, key=lambda record: record.created)[-MAX_EXPERIMENTS:]
    for name in ("overall_score", "runtime_seconds"):
        defined = [record for record in newest if measured(record, name).value is not None]
        if defined:
            yield _over_time(defined, name, len(records) - len(defined))


def _over_time(records: Sequence[ExperimentRecord], name: str, n_left_out: int) -> Chart:
    figure, measure = new_figure(), MEASURES[name]
    adapters = sorted({record.spec.adapter_type for record in records})
    for adapter, colour, symbol in zip(adapters, cycle(SERIES), cycle(SYMBOLS), strict=False):
        mine = [record for record in records if record.spec.adapter_type == adapter]
        figure.add_scatter(
            x=[record.created for record in mine],
            y=[measured(record, name).value for record in mine],
            name=label(adapter),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.85},
            text=[_hover(record, name) for record in mine],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(title_text="created, UTC", nticks=6)
    figure.update_yaxes(title_text=measure.title, rangemode="tozero", zeroline=False)
    figure.update_layout(showlegend=True)
    return Chart(
        key=f"history-{name.replace('_', '-')}",
        title=f"{heading(name)} over time",
        label=f"{measure.title} of {len(records):,} experiments over time; the table holds the newest",
        figure=figure,
        caption=f"{len(records):,} experiments of any source and setting."
        + (f" {n_left_out:,} more are left out: older, or without this number." if n_left_out else ""),
        height_px=320,
    )


def _hover(record: ExperimentRecord, name: str) -> str:
    spec, measure = record.spec, MEASURES[name]
    return (
        f"<b>{record.id}</b><br>{measure.title}: {show(measured(record, name), measure.form)}<br>"
        f"{label(source_name(spec.data_source))}<br>eps {spec.eps:g} km, min_samples {spec.min_samples:,}"
    )


def aggregate(record: AggregateRecord) -> Iterator[Chart]:
    """Mean score and runtime of each group, with the 95 % interval where there is one."""
    for name in ("overall_score", "runtime_seconds"):
        chart = _intervals(record, name)
        if chart is not None:
            yield chart


def _intervals(record: AggregateRecord, name: str) -> Chart | None:
    """One row per group that has a mean; None where none has."""
    found: list[tuple[str, str, Statistic]] = [
        (group.adapter, f"{group.eps:g} km · {group.min_samples:,}", one)
        for group in record.groups
        for one in group.statistics
        if one.metric == name and one.mean is not None
    ]
    shown = found[:MAX_SETTINGS]
    if not shown:
        return None
    figure = new_figure()
    adapters = sorted({adapter for adapter, _, _ in shown})
    for adapter, colour, symbol in zip(adapters, cycle(SERIES), cycle(SYMBOLS), strict=False):
        rows = [(row, one) for row, (of, _, one) in enumerate(shown) if of == adapter]
        means = [in_unit(name, one.mean) for _, one in rows]
        figure.add_scatter(
            x=means,
            y=[row for row, _ in rows],
            name=label(adapter),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 10},
            error_x={
                "array": _reach(name, rows, lambda one: one.high),
                "arrayminus": _reach(name, rows, lambda one: one.low),
                "color": colour,
                "thickness": 1.5,
            },
            text=[f"{one.n:,} records" for _, one in rows],
            hovertemplate=f"{label(adapter)}<br>mean %{{x:{MEASURES[name].form}}}, %{{text}}<extra></extra>",
        )
    figure.update_xaxes(title_text=title(name))
    texts = [setting for _, setting, _ in shown]
    figure.update_yaxes(
        tickvals=list(range(len(shown))), ticktext=texts, range=[len(shown) - 0.4, -0.6], fixedrange=True
    )
    figure.update_layout(showlegend=True)
    left_out = len(found) - len(shown)
    return Chart(
        key=f"aggregate-{name.replace('_', '-')}",
        title=f"Mean {MEASURES[name].name}",
        label=f"Mean {title(name)} of {len(shown)} groups with 95 % intervals; the table has all",
        figure=figure,
        caption="A row is a setting: eps · min_samples. Lines are 95 % bootstrap intervals of the mean."
        + (f" {left_out:,} more groups are in the table only." if left_out else ""),
        height_px=130 + _ROW_PX * len(shown),
    )


def _reach(name: str, rows: Sequence[tuple[int, Statistic]], bound: Callable[[Statistic], float | None]) -> list[float]:
    """How far a bound lies from the mean; 0 where there is no interval."""
    reach = []
    for _, one in rows:
        end, mean = in_unit(name, bound(one)), in_unit(name, one.mean)
        reach.append(0.0 if end is None or mean is None else abs(end - mean))
    return reach
