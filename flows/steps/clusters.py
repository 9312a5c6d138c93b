"""The table of clusters: where each lies, how large it is, and its outline."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from flows.core.crs import to_metres
from flows.model.points import Points
from flows.model.spec import UNITS_PER_METRE

if TYPE_CHECKING:
    import pandas as pd

    from flows.datasets.zones import ZoneTable

_WKB_LITTLE_ENDIAN = 1
# https://geoparquet.org/releases/v1.1.0/: with it, any GIS reads the file as a map layer. No CRS means WGS84 lon, lat.
_GEO_PARQUET = {
    "version": "1.1.0",
    "primary_column": "hull",
    "columns": {"hull": {"encoding": "WKB", "geometry_types": ["Polygon"], "orientation": "counterclockwise"}},
}

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("size", pa.int64()),
        ("n_unique", pa.int64()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("x_m", pa.float64()),
        ("y_m", pa.float64()),
        ("radius_m", pa.float64()),
        ("hull", pa.binary()),
        ("zone", pa.string()),
        ("zone_id", pa.int64()),
    ],
    metadata={"geo": json.dumps(_GEO_PARQUET)},
)


def cluster_table(points: Points, labels: NDArray[np.int64], zones: ZoneTable | None) -> pa.Table:
    """Describe k clusters, in the order of their numbers.

    Args:
        points: n_unique points.
        labels: int64[n_unique], 0 .. k-1, or -1 for noise; no number is left out.
        zones: the zone table, where there is one.

    Returns:
        k rows of `SCHEMA`: id; size (used points before the collapse: trips); n_unique (distinct points); x_m, y_m
        (centroid of the trips, EPSG:32118 metres) and the same place as lon, lat (WGS84 degrees); radius_m (the largest
        distance of a member from the centroid); hull (convex hull of the members, computed in metres, as little-endian
        WKB in WGS84 degrees, counter-clockwise; null where it has no area: one or two distinct points, or all on a
        line); zone, zone_id (the taxi zone that holds the centroid, null outside all and without a zone table).
    """
    clustered = np.flatnonzero(labels >= 0)
    order = clustered[np.argsort(labels[clustered], kind="stable")]
    cluster, xy_m, weights = labels[order], points.xy_m[order], points.weights[order]
    n_unique = np.bincount(cluster)
    starts = np.concatenate([[0], np.cumsum(n_unique)])[:-1].astype(np.intp)
    size = np.add.reduceat(weights, starts)
    centroid_m = _centroids(xy_m, weights, starts) / size[:, None]
    radius_m = np.sqrt(np.maximum.reduceat(((xy_m - centroid_m[cluster]) ** 2).sum(axis=1), starts))
    lon, lat = to_metres().transform(*centroid_m.T, direction="INVERSE")
    zone, zone_id = _zones(lon, lat, zones)
    hulls = shapely.to_wkb(_hulls(xy_m, cluster, n_unique), byte_order=_WKB_LITTLE_ENDIAN)
    x_m, y_m = centroid_m.T
    columns = [np.arange(len(size)), size, n_unique, lon, lat, x_m, y_m, radius_m, hulls, zone, zone_id]
    return pa.table([pa.array(one, field.type) for one, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def to_parquet(clusters: pa.Table) -> bytes:
    """The table as a parquet file; the same table always gives the same bytes."""
    sink = io.BytesIO()
    pq.write_table(clusters, sink, compression="zstd", compression_level=3)
    return sink.getvalue()


def from_parquet(content: bytes) -> pa.Table:
    """The table of `to_parquet`."""
    return pq.read_table(io.BytesIO(content))


def to_frame(clusters: pa.Table) -> pd.DataFrame:
    """The table as a data frame; zone_id is a nullable integer, `shapely.from_wkb(frame["hull"])` gives polygons."""
    frame: pd.DataFrame = clusters.to_pandas()
    return frame.astype({"zone_id": "Int64"})


def _centroids(xy_m: NDArray[np.float64], weights: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Weighted sums of the coordinates per cluster, float64[k, 2]: exact, as whole units of 2^-10 m in int64."""
    units = np.rint(xy_m * UNITS_PER_METRE).astype(np.int64)
    return np.add.reduceat(units * weights[:, None], starts, axis=0) / UNITS_PER_METRE


def _hulls(xy_m: NDArray[np.float64], cluster: NDArray[np.int64], n_unique: NDArray[np.int64]) -> NDArray[np.object_]:
    """object[k]: polygons in WGS84 degrees, None where the hull has no area."""
    hulls = np.full(len(n_unique), None, dtype=object)
    several = np.flatnonzero(n_unique > 2)
    # A line through a cluster's points has the points' hull, and takes no object per point.
    member = n_unique[cluster] > 2
    lines = shapely.linestrings(xy_m[member], indices=np.searchsorted(several, cluster[member]))
    found = shapely.convex_hull(lines)
    polygonal = shapely.get_type_id(found) == shapely.GeometryType.POLYGON
    hulls[several[polygonal]] = shapely.orient_polygons(shapely.transform(found[polygonal], _to_degrees))
    return hulls


def _to_degrees(xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack(to_metres().transform(*xy_m.T, direction="INVERSE"))


def _zones(
    lon: NDArray[np.float64], lat: NDArray[np.float64], zones: ZoneTable | None
) -> tuple[list[str | None], list[int | None]]:
    """Name and id of the zone that holds each of k points."""
    if zones is None:
        return [None] * len(lon), [None] * len(lon)
    index = zones.index_at(lon, lat)
    return zones.zone_at(lon, lat), [int(zones.ids[one]) if one >= 0 else None for one in index]
