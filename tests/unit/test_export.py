from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from scipy.spatial import ConvexHull

from flows.core.errors import ParameterError
from flows.datasets.zones import ZoneTable, load_zone_table
from flows.model.points import Points
from flows.model.spec import CoordinateType
from flows.steps.clusters import SCHEMA, cluster_table, from_parquet, to_frame, to_parquet
from flows.steps.export import LABEL_DTYPE, export_clusters, export_labels, label_array

TO_DEGREES = Transformer.from_crs("EPSG:32118", "EPSG:4326", always_xy=True)


@pytest.fixture(scope="module")
def zones(shared_data: Path) -> ZoneTable:
    return load_zone_table(shared_data / "zones")


def make_points(
    xy_m: NDArray[np.float64],
    weights: NDArray[np.int64] | None = None,
    kept: NDArray[np.bool_] | None = None,
    coordinate_type: CoordinateType = "pickup",
    inverse: NDArray[np.int64] | None = None,
) -> Points:
    weights = np.ones(len(xy_m), np.int64) if weights is None else weights
    inverse = np.repeat(np.arange(len(xy_m)), weights) if inverse is None else inverse
    kept = np.ones(len(inverse), np.bool_) if kept is None else kept
    return Points(
        xy_m=np.asarray(xy_m, np.float64),
        weights=weights,
        inverse=inverse,
        kept=kept,
        coordinate_type=coordinate_type,
        kind="coordinates",
        n_rows=len(kept),
        dropped={},
        rows_per_file=(len(kept),),
        ingest_seconds=0.0,
        prepare_seconds=0.0,
    )


def random_clusters(seed: int = 0) -> tuple[Points, NDArray[np.int64]]:
    """3,000 points on the 2^-10 m grid in 12 clusters and noise."""
    rng = np.random.default_rng(seed)
    xy_m = np.round((rng.random((3000, 2)) * 20_000 + (290_000, 55_000)) * 1024) / 1024
    labels = rng.integers(-1, 12, 3000)
    return make_points(xy_m, rng.integers(1, 9, 3000)), labels


def test_clusters_against_plain_numpy(zones: ZoneTable) -> None:
    points, labels = random_clusters()
    frame = to_frame(cluster_table(points, labels, zones))
    assert frame["id"].tolist() == list(range(12))
    for row in frame.itertuples():
        xy_m, weights = points.xy_m[labels == row.id], points.weights[labels == row.id]
        centroid = np.average(xy_m, axis=0, weights=weights)
        assert (row.size, row.n_unique) == (weights.sum(), len(xy_m))
        assert (row.x_m, row.y_m) == pytest.approx(tuple(centroid), abs=1e-6)
        assert row.radius_m == pytest.approx(np.hypot(*(xy_m - centroid).T).max(), abs=1e-6)
        assert (row.lon, row.lat) == pytest.approx(TO_DEGREES.transform(*centroid), abs=1e-10)
        hull = shapely.from_wkb(row.hull)
        corners = xy_m[ConvexHull(xy_m).vertices]
        expected = shapely.Polygon(np.column_stack(TO_DEGREES.transform(*corners.T)))
        assert shapely.equals_exact(hull, expected, 1e-10, normalize=True)
        assert hull.exterior.is_ccw
    assert frame["zone"].tolist() == zones.zone_at(frame["lon"].to_numpy(), frame["lat"].to_numpy())
    named = frame[frame["zone"].notna()]
    assert len(named) > 0
    assert [zones.names[np.searchsorted(zones.ids, one)] for one in named["zone_id"]] == named["zone"].tolist()


def test_radius_is_that_on_the_ground() -> None:
    table = cluster_table(make_points(np.array([[300_000.0, 60_000.0], [300_400.0, 60_300.0]])), np.zeros(2, int), None)
    row = to_frame(table).iloc[0]
    lon, lat = TO_DEGREES.transform(300_400.0, 60_300.0)
    assert row["radius_m"] == 250.0
    assert Geod(ellps="WGS84").inv(row["lon"], row["lat"], lon, lat)[2] == pytest.approx(250.0, rel=1e-3)


def test_hull_is_null_without_an_area() -> None:
    corner = np.array([300_000.0, 60_000.0])
    steps = [[0, 0], [10, 0], [20, 0], [0, 0], [10, 10], [20, 20], [0, 5], [0, 0], [9, 0], [0, 9]]
    labels = np.array([0, 1, 1, 2, 2, 2, -1, 3, 3, 3])
    frame = to_frame(cluster_table(make_points(corner + steps, np.full(10, 7)), labels, None))
    assert frame["n_unique"].tolist() == [1, 2, 3, 3]
    assert frame["size"].tolist() == [7, 14, 21, 21]
    assert frame["hull"].isna().tolist() == [True, True, True, False]
    assert frame["radius_m"].iloc[0] == 0
    assert frame["zone"].isna().all()
    assert frame["zone_id"].isna().all()


def test_no_cluster_is_an_empty_table(zones: ZoneTable, tmp_path: Path) -> None:
    points, labels = random_clusters()
    table = cluster_table(points, np.full_like(labels, -1), zones)
    assert table.num_rows == 0
    assert table.schema.equals(SCHEMA)
    export_clusters(to_frame(table), tmp_path / "none.geojson")
    assert json.loads((tmp_path / "none.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


def test_same_clusters_same_bytes(zones: ZoneTable) -> None:
    first, second = (to_parquet(cluster_table(*random_clusters(), zones)) for _ in range(2))
    assert first == second
    assert from_parquet(first).schema.equals(SCHEMA)


def test_geojson_is_valid(zones: ZoneTable, tmp_path: Path) -> None:
    points, labels = random_clusters()
    labels[labels == 5] = -1
    labels[0] = 5
    frame = to_frame(cluster_table(points, labels, zones))
    export_clusters(frame, tmp_path / "clusters.geojson")
    text = (tmp_path / "clusters.geojson").read_text()
    collection = json.loads(text)
    assert collection["type"] == "FeatureCollection"
    assert [one["properties"]["id"] for one in collection["features"]] == list(range(12))
    for feature, hull in zip(collection["features"], frame["hull"], strict=True):
        assert set(feature) == {"type", "geometry", "properties"}
        assert "hull" not in feature["properties"]
        if feature["properties"]["n_unique"] == 1:
            assert feature["geometry"] is None
            continue
        ring = feature["geometry"]["coordinates"][0]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        assert shapely.LinearRing(ring).is_ccw
        assert shapely.equals_exact(shapely.Polygon(ring), shapely.from_wkb(hull), 1e-12)
        assert shapely.Polygon(ring).contains(shapely.Point(feature["properties"]["lon"], feature["properties"]["lat"]))


def test_parquet_export_is_the_recorded_table(zones: ZoneTable, tmp_path: Path) -> None:
    table = cluster_table(*random_clusters(), zones)
    export_clusters(to_frame(table), tmp_path / "clusters.parquet")
    assert (tmp_path / "clusters.parquet").read_bytes() == to_parquet(table)
    geo = json.loads(pq.read_schema(tmp_path / "clusters.parquet").metadata[b"geo"])
    assert geo["primary_column"] == "hull"


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    frame = to_frame(cluster_table(*random_clusters(), None))
    with pytest.raises(ParameterError, match=r"\.geojson or \.parquet"):
        export_clusters(frame, tmp_path / "clusters.shp")
    with pytest.raises(ParameterError, match=r"\.npy"):
        export_labels(np.empty(0, LABEL_DTYPE), tmp_path / "labels.csv")
    assert list(tmp_path.glob("[cl]*")) == []


@pytest.mark.parametrize(("coordinate_type", "end"), [("pickup", 0), ("dropoff", 1)])
def test_labels_of_one_end(coordinate_type: CoordinateType, end: int) -> None:
    kept = np.array([False, True, True, False, True])
    points = make_points(
        np.zeros((2, 2)), np.array([2, 1]), kept, coordinate_type, inverse=np.array([0, 1, 0], np.int64)
    )
    found = label_array(points, np.array([4, -1]))
    assert found.dtype == LABEL_DTYPE
    assert found["row"].tolist() == [1, 2, 4]
    assert found["end"].tolist() == [end] * 3
    assert found["label"].tolist() == [4, -1, 4]


def test_labels_of_both_ends(tmp_path: Path) -> None:
    kept = np.array([True, False, False, False, True, True])
    points = make_points(np.zeros((3, 2)), kept=kept, coordinate_type="both")
    found = label_array(points, np.array([0, 1, -1]))
    assert found.tolist() == [(0, 0, 0), (2, 0, 1), (2, 1, -1)]
    export_labels(found, tmp_path / "labels.npy")
    assert np.array_equal(np.load(tmp_path / "labels.npy"), found)


def test_failed_export_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.npy"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left on device") as failure:
        export_labels(np.empty(0, LABEL_DTYPE), path)
    assert failure.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["labels.npy"]
    assert path.read_bytes() == b"old"
