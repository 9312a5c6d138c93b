"""The map of hot spots: clusters as hulls and bubbles over the outlines of the zones, in kilometres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from flows.core.crs import LONG_ISLAND_M, to_metres
from flows.datasets.zones import TLC_CRS
from flows.report.figure import HOT, HOT_FILL, HOT_HULL, LAND, OUTLINE, SURFACE, Chart, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from flows.datasets.zones import ZoneTable

MAX_HULLS = 1000
MAX_BUBBLES = 3000
"""The largest clusters; more would make the page slow to pan."""

_OUTLINE_TOLERANCE_FT = 150.0
_LARGEST_BUBBLE_PX = 34
_HALF_VIEW_KM = 1.0
_MARGIN = 0.08


def hot_spots(frame: pd.DataFrame, zones: ZoneTable | None, points: str) -> Chart:
    """The map.

    Args:
        frame: columns of flows.steps.clusters.SCHEMA.
        zones: outlines, where the zone table is there.
        points: what is counted, such as `trips`.
    """
    largest = frame.sort_values(["size", "id"], ascending=[False, True]).head(MAX_BUBBLES)
    xy_km = largest[["x_m", "y_m"]].to_numpy() / 1000
    hulls = _hulls(largest["hull"].dropna().head(MAX_HULLS))
    outlines = _outlines(zones) if zones is not None else np.empty(0, object)
    low, high = _view(xy_km, hulls if len(hulls) else outlines)
    origin_km = (low + high) / 2
    figure = new_figure()
    _add_polygons(figure, outlines, origin_km, "zones", OUTLINE, LAND)
    _add_polygons(figure, hulls, origin_km, "hulls", HOT, HOT_HULL)
    _add_bubbles(figure, largest, xy_km - origin_km, points)
    hidden = {"visible": False, "automargin": False}
    figure.update_layout(showlegend=False, dragmode="pan", margin={"l": 0, "r": 0, "t": 0, "b": 0}, hoverdistance=30)
    figure.update_xaxes(range=[low[0] - origin_km[0], high[0] - origin_km[0]], **hidden)
    figure.update_yaxes(range=[low[1] - origin_km[1], high[1] - origin_km[1]], scaleanchor="x", scaleratio=1, **hidden)
    return Chart(
        key="map",
        title="",
        label=f"Map of {len(frame):,} clusters; the table of clusters below holds the same places",
        figure=figure,
        caption=_caption(frame, len(largest), len(hulls), zones is not None, points),
        is_map=True,
    )


def _hulls(wkb: pd.Series[bytes]) -> NDArray[np.object_]:
    """object[h]: hulls in EPSG:32118 kilometres."""
    polygons = shapely.from_wkb(wkb.to_numpy())
    found: NDArray[np.object_] = shapely.transform(
        polygons, lambda degrees: np.column_stack(to_metres().transform(*degrees.T)) / 1000
    )
    return found


def _outlines(zones: ZoneTable) -> NDArray[np.object_]:
    """object[p]: zones in EPSG:32118 kilometres, simplified together so that neighbours keep one border."""
    from pyproj import Transformer

    to_long_island = Transformer.from_crs(TLC_CRS, LONG_ISLAND_M, always_xy=True)
    simple = shapely.coverage_simplify(zones.polygons, _OUTLINE_TOLERANCE_FT)
    found: NDArray[np.object_] = shapely.transform(
        simple, lambda feet: np.column_stack(to_long_island.transform(*feet.T)) / 1000
    )
    return found


def _view(xy_km: NDArray[np.float64], shapes: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower left and upper right corner of what is seen at first: all that is drawn, and a margin."""
    corners = [shapely.total_bounds(shapes).reshape(2, 2)] if len(shapes) else []
    seen = np.concatenate([*corners, xy_km])
    if not len(seen):
        return np.full(2, -_HALF_VIEW_KM), np.full(2, _HALF_VIEW_KM)
    low, high = seen.min(axis=0), seen.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * (1 + 2 * _MARGIN), _HALF_VIEW_KM)
    return middle - half, middle + half


def _add_polygons(
    figure: go.Figure, polygons: NDArray[np.object_], origin_km: NDArray[np.float64], name: str, line: str, fill: str
) -> None:
    """All rings as one trace, with a gap after each; float32 of kilometres around the origin is exact to 4 mm."""
    rings = shapely.get_rings(shapely.get_parts(polygons))  # get_rings alone passes over multipolygons
    if not len(rings):
        return
    xy_km, ring = shapely.get_coordinates(rings, return_index=True)
    ends = np.flatnonzero(np.diff(ring)) + 1
    x_km, y_km = np.insert(xy_km - origin_km, ends, np.nan, axis=0).astype(np.float32).T
    figure.add_scatter(
        x=x_km,
        y=y_km,
        name=name,
        mode="lines",
        line={"color": line, "width": 1},
        fill="toself",
        fillcolor=fill,
        hoverinfo="skip",
    )


def _add_bubbles(figure: go.Figure, largest: pd.DataFrame, xy_km: NDArray[np.float64], points: str) -> None:
    """Largest first, so that a small cluster lies above a large one."""
    places = [label(zone) if isinstance(zone, str) else "outside all zones" for zone in largest["zone"]]
    facts = largest[["id", "size", "n_unique", "radius_m", "lat", "lon"]].round({"radius_m": 0, "lat": 5, "lon": 5})
    figure.add_scatter(
        x=xy_km[:, 0].astype(np.float32),
        y=xy_km[:, 1].astype(np.float32),
        name="clusters",
        mode="markers",
        marker={
            "size": largest["size"].to_numpy(),
            "sizemode": "area",
            "sizeref": 2 * max(int(largest["size"].max()) if len(largest) else 1, 1) / _LARGEST_BUBBLE_PX**2,
            "sizemin": 3,
            "color": HOT_FILL,
            "opacity": 1,
            "line": {"color": SURFACE, "width": 1},
        },
        customdata=facts.astype(object).to_numpy().tolist(),
        text=places,
        hovertemplate=(
            "<b>Cluster %{customdata[0]}</b><br>%{text}<br>"
            f"%{{customdata[1]:,}} {points} at %{{customdata[2]:,}} places<br>"
            "radius %{customdata[3]:,} m<br>latitude %{customdata[4]}°, longitude %{customdata[5]}°<extra></extra>"
        ),
    )


def _caption(frame: pd.DataFrame, n_bubbles: int, n_hulls: int, has_zones: bool, points: str) -> str:
    parts = ["Drag to pan, scroll or use + and - to zoom, double-click to see all."]
    if len(frame):
        parts.append(f"A bubble's area is its {points}: the largest has {frame['size'].max():,}.")
    if len(frame) > n_bubbles:
        parts.append(f"Shown are the {n_bubbles:,} largest of {len(frame):,} clusters.")
    with_area = int(frame["hull"].notna().sum())
    if with_area > n_hulls:
        parts.append(f"Hulls are drawn for the {n_hulls:,} largest that have an area.")
    if not has_zones:
        parts.append("There is no zone table, so there are no outlines under the clusters.")
    return " ".join(parts)
