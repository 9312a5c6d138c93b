"""The forms of panel that the dashboards use: a line over time, a number, a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from scripts.telemetry.model import DATA_SOURCE

SOURCE = DataSourceRef(type_val="prometheus", uid=DATA_SOURCE)
WIDTH, HEIGHT = 12, 8
"""Of a panel, in Grafana's grid of 24 columns."""

Panel = timeseries.Panel | stat.Panel | table.Panel


@dataclass(frozen=True)
class Query:
    """PromQL and what its series are called."""

    expr: str
    legend: str = "__auto"


def lines(title: str, description: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Series over time, as lines."""
    return _over_time(title, description, unit, queries).fill_opacity(8).line_width(2)


def bars(title: str, description: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Counts over time, as bars."""
    return _over_time(title, description, unit, queries).fill_opacity(80).draw_style(GraphDrawStyle.BARS)


def _over_time(title: str, description: str, unit: str, queries: Sequence[Query]) -> timeseries.Panel:
    legend = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = timeseries.Panel().title(title).description(description).unit(unit).legend(legend)
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(_query(query.expr, letter).range().legend_format(query.legend))
    return panel.datasource(SOURCE).span(WIDTH).height(HEIGHT)


def number(title: str, description: str, unit: str, expr: str) -> stat.Panel:
    """The newest value."""
    last = ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = stat.Panel().title(title).description(description).unit(unit).reduce_options(last)
    return panel.with_target(_query(expr, "A").instant()).datasource(SOURCE).span(WIDTH // 2).height(HEIGHT // 2)


def rows(title: str, description: str, unit: str, expr: str) -> table.Panel:
    """One row for each series."""
    panel = table.Panel().title(title).description(description).unit(unit)
    panel = panel.with_target(_query(expr, "A").instant().format(PromQueryFormat.TABLE))
    return panel.datasource(SOURCE).span(WIDTH).height(HEIGHT)


def _query(expr: str, letter: str) -> Dataquery:
    return Dataquery().expr(expr).ref_id(letter).datasource(SOURCE)
