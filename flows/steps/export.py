"""Writes clusters and labels into the files that a person asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from flows.core.atomic import replacing
from flows.core.errors import ParameterError
from flows.model.points import Points
from flows.steps.clusters import SCHEMA, to_parquet

if TYPE_CHECKING:
    import pandas as pd

LABEL_DTYPE = np.dtype([("row", np.int64), ("end", np.uint8), ("label", np.int64)])
"""row: 0-based over the rows read of the whole source; dropped rows are counted, skipped bad rows are not.
end: 0 pick-up, 1 drop-off. label: -1 is noise."""

_PICKUP, _DROPOFF = 0, 1


def label_array(points: Points, labels: NDArray[np.int64]) -> NDArray[np.void]:
    """The label of each used point.

    Args:
        points: n_used points.
        labels: int64[n_unique].

    Returns:
        LABEL_DTYPE[n_used], in point order.
    """
    place = np.flatnonzero(points.kept)
    found = np.empty(len(place), LABEL_DTYPE)
    if points.coordinate_type == "both":
        found["row"], found["end"] = np.divmod(place, 2)
    else:
        found["row"] = place
        found["end"] = _DROPOFF if points.coordinate_type == "dropoff" else _PICKUP
    found["label"] = labels[points.inverse]
    return found


def export_labels(labels: NDArray[np.void], path: Path) -> None:
    """Write the array of `label_array` as .npy, whole or not at all.

    Raises:
        ParameterError: another suffix.
        OSError: the file can't be written.
    """
    if path.suffix.lower() != ".npy":
        raise ParameterError(f"labels can't be written to {str(path)!r}: the name must end in .npy.")
    with replacing(path) as file:
        np.save(file, labels)


def export_clusters(clusters: pd.DataFrame, path: Path) -> None:
    """Write the clusters with their hulls, in WGS84 degrees, whole or not at all.

    .geojson: a FeatureCollection (RFC 7946), one feature per cluster: its geometry is the hull, null where there is
    none, its properties are the other columns; lon and lat are the centroid. .parquet: the table as it is recorded.

    Args:
        clusters: columns of `flows.steps.clusters.SCHEMA`.
        path: ends in .geojson or .parquet.

    Raises:
        ParameterError: another suffix.
        OSError: the file can't be written.
    """
    table = pa.Table.from_pandas(clusters, SCHEMA, preserve_index=False).replace_schema_metadata(SCHEMA.metadata)
    suffix = path.suffix.lower()
    if suffix == ".geojson":
        content = _geojson(table)
    elif suffix == ".parquet":
        content = to_parquet(table)
    else:
        raise ParameterError(f"clusters can't be written to {str(path)!r}: the name must end in .geojson or .parquet.")
    with replacing(path) as file:
        file.write(content)


def _geojson(table: pa.Table) -> bytes:
    hulls = shapely.to_geojson(shapely.from_wkb(table["hull"].to_pylist()))
    features = [
        {"type": "Feature", "geometry": json.loads(hull) if hull else None, "properties": properties}
        for hull, properties in zip(hulls, table.drop_columns("hull").to_pylist(), strict=True)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, allow_nan=False, ensure_ascii=False).encode()
