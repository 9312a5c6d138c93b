"""What all charts share: colours that the page resolves to light or dark, and the way to the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import plotly.graph_objects as go

# page.js replaces these by what page.css says for the reader's light or dark mode.
INK, MUTED, GRID, SURFACE = "var(--ink)", "var(--muted)", "var(--grid)", "var(--surface)"
LAND, OUTLINE, HOT, HOT_FILL, HOT_HULL = (
    "var(--land)",
    "var(--outline)",
    "var(--hot)",
    "var(--hot-fill)",
    "var(--hot-hull)",
)
SERIES = tuple(f"var(--series-{index})" for index in range(1, 7))
"""Okabe and Ito's colours for the colour-blind (https://jfly.uni-koeln.de/color/); symbols tell series apart too."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
BLACK, WHITE = "#000000", "#ffffff"
HEAT = "Cividis"
"""The same to colour-blind eyes (Nunez, Anderton and Renslow 2018)."""


@dataclass(frozen=True)
class Chart:
    """A figure on the page.

    label: what it shows, for those who can't see it. height_px; min_width_px: narrower boxes scroll.
    caption: below it. is_map: with a scale bar, zoomed by the wheel.
    """

    kind: ClassVar[str] = "chart"
    key: str
    title: str
    label: str
    figure: go.Figure
    caption: str
    height_px: int = 380
    min_width_px: int = 0
    is_map: bool = False


def new_figure() -> go.Figure:
    """An empty figure in the page's look."""
    import plotly.graph_objects as go

    family = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": GRID,
        "tickcolor": GRID,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return go.Figure(
        layout={
            "template": go.layout.Template(),
            "font": {"family": family, "size": 12, "color": INK},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
            "xaxis": axis,
            "yaxis": axis,
            "hovermode": "closest",
            "hoverlabel": {
                "bgcolor": SURFACE,
                "bordercolor": MUTED,
                "font": {"family": family, "color": INK},
                "align": "left",
            },
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "yref": "paper"},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": INK},
            "uirevision": "keep",
        }
    )


def label(text: str, width: int = 60) -> str:
    """Text from data for a chart: plotly reads some HTML, and does not break lines."""
    return "<br>".join(escape(line, quote=False) for line in wrap(text, width)) or ""


def log_axis(values: Sequence[float]) -> dict[str, object]:
    """A logarithmic axis around positive values, with its ticks at 1, 2 and 5 of each power of ten."""
    low, high = min(values) / 1.3, max(values) * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 1e3 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [f"{tick:,g}" for tick in ticks],
    }
