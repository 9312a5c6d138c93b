from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapefile
import shapely
from pyproj import Transformer

from flows.core.errors import ZoneTableError
from flows.datasets.zones import MAX_PART_BYTES, ZoneTable, load_zone_table

TIMES_SQUARE, LAGUARDIA, AT_SEA = (-73.9855, 40.7580), (-73.8726, 40.7747), (-73.70, 40.46)


@pytest.fixture(scope="module")
def zones(shared_data: Path) -> ZoneTable:
    return load_zone_table(shared_data / "zones")


def square(x_ft: float, y_ft: float, side_ft: float) -> list[list[float]]:
    return [
        [x_ft, y_ft],
        [x_ft, y_ft + side_ft],
        [x_ft + side_ft, y_ft + side_ft],
        [x_ft + side_ft, y_ft],
        [x_ft, y_ft],
    ]


def write_zones(folder: Path, rings: list[tuple[int, str, list[list[float]]]]) -> Path:
    folder.mkdir(exist_ok=True)
    with shapefile.Writer(str(folder / "taxi_zones"), shapeType=shapefile.POLYGON) as writer:
        writer.field("LocationID", "N", 4)
        writer.field("zone", "C", 60)
        for zone_id, name, ring in rings:
            writer.poly([ring])
            writer.record(zone_id, name)
    return folder


def test_the_ids_of_tlcs_table(zones: ZoneTable) -> None:
    assert zones.ids.dtype == np.int64
    assert zones.ids.tolist() == [one for one in range(1, 264) if one not in (57, 104, 105)]
    assert len(zones.lon) == len(zones.lat) == len(zones.names) == 260
    assert len(zones.polygons) == 263
    assert {"Corona", "Governor's Island/Ellis Island/Liberty Island"} <= set(zones.names)
    assert np.bincount(zones.polygon_zone)[np.searchsorted(zones.ids, [56, 103, 132])].tolist() == [2, 3, 1]


@pytest.mark.parametrize("zone_id", [56, 103])
def test_centroid_of_a_zone_of_several_polygons(zones: ZoneTable, shared_data: Path, zone_id: int) -> None:
    """Against the shoelace formula over every ring, by hand."""
    area = moment_x = moment_y = 0.0
    with shapefile.Reader(str(shared_data / "zones" / "taxi_zones.shp")) as reader:
        for entry in reader.iterShapeRecords():
            if entry.record["LocationID"] != zone_id:
                continue
            ends = [*entry.shape.parts, len(entry.shape.points)]
            for start, stop in pairwise(ends):
                ring = np.array(entry.shape.points[start:stop]) - (1e6, 2e5)
                (x0, y0), (x1, y1) = ring[:-1].T, ring[1:].T
                cross = x0 * y1 - x1 * y0
                area += cross.sum() / 2
                moment_x += ((x0 + x1) * cross).sum() / 6
                moment_y += ((y0 + y1) * cross).sum() / 6
    to_wgs84 = Transformer.from_crs("EPSG:2263", "EPSG:4326", always_xy=True)
    lon, lat = to_wgs84.transform(moment_x / area + 1e6, moment_y / area + 2e5)
    place = int(np.searchsorted(zones.ids, zone_id))
    assert zones.lon[place] == pytest.approx(lon, abs=1e-9)
    assert zones.lat[place] == pytest.approx(lat, abs=1e-9)


def test_larger_polygons_weigh_more(tmp_path: Path) -> None:
    folder = write_zones(
        tmp_path / "zones",
        [(9, "Twin", square(1_000_000, 200_000, 3_000)), (9, "Twin", square(1_010_000, 200_000, 1_000))],
    )
    table = load_zone_table(folder)
    x_ft, y_ft = Transformer.from_crs("EPSG:4326", "EPSG:2263", always_xy=True).transform(table.lon, table.lat)
    assert x_ft == pytest.approx([(9 * 1_001_500 + 1_010_500) / 10], abs=1e-3)
    assert y_ft == pytest.approx([(9 * 201_500 + 200_500) / 10], abs=1e-3)


def test_zone_at_names_the_zone_that_holds_a_point(zones: ZoneTable) -> None:
    lon, lat = np.array([TIMES_SQUARE, LAGUARDIA, AT_SEA]).T
    assert zones.zone_at(lon, lat) == ["Times Sq/Theatre District", "LaGuardia Airport", None]
    assert zones.index_at(lon, lat)[2] == -1
    assert zones.zone_at(lon[:0], lat[:0]) == []


def test_zone_at_agrees_with_the_reprojected_zones(zones: ZoneTable, shared_data: Path) -> None:
    text = (shared_data / "zones" / "taxi_zones_wgs84.derived.geojson").read_text()
    polygons = shapely.get_parts(shapely.from_geojson(text))
    shapely.prepare(polygons)
    points = shapely.points(np.random.default_rng(0).uniform((-74.25, 40.5), (-73.7, 40.91), (2000, 2)))
    index = zones.index_at(shapely.get_x(points), shapely.get_y(points))
    near_a_border = shapely.distance(shapely.union_all(shapely.boundary(polygons)), points) < 1e-5
    for point, found in zip(points[~near_a_border], index[~near_a_border], strict=True):
        holding = np.flatnonzero(shapely.contains(polygons, point))
        assert zones.polygon_zone[holding].tolist() == ([found] if found >= 0 else [])


def test_a_border_belongs_to_the_lowest_id(tmp_path: Path) -> None:
    rings = [(8, "East", square(1_001_000, 200_000, 1_000)), (3, "West", square(1_000_000, 200_000, 1_000))]
    table = load_zone_table(write_zones(tmp_path / "zones", rings))
    lon, lat = Transformer.from_crs("EPSG:2263", "EPSG:4326", always_xy=True).transform(
        np.array([1_000_500.0, 1_001_500.0]), np.array([200_500.0, 200_500.0])
    )
    assert table.zone_at(lon, lat) == ["West", "East"]
    assert table.ids.tolist() == [3, 8]


def test_zip_folder_and_shp_are_the_same_table(zones: ZoneTable, shared_data: Path, tmp_path: Path) -> None:
    packed = tmp_path / "taxi_zones.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((shared_data / "zones").glob("taxi_zones.*")):
            archive.write(file, f"taxi_zones/{file.name}")
            archive.writestr(f"__MACOSX/taxi_zones/._{file.name}", b"shadow")
    for path in (packed, shared_data / "zones" / "taxi_zones.shp"):
        table = load_zone_table(path)
        assert table.sha256 == zones.sha256
        assert np.array_equal(table.lon, zones.lon)
        assert np.array_equal(table.lat, zones.lat)


def _remove(name: str) -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        (folder / name).unlink()
        return folder

    return spoil


def _cut(name: str) -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        return folder

    return spoil


def _page_instead_of_zip(folder: Path) -> Path:
    (folder / "taxi_zones.zip").write_text("<html>log in first</html>")
    return folder / "taxi_zones.zip"


def _cut_zip(folder: Path) -> Path:
    shutil.make_archive(str(folder / "all"), "zip", folder)
    content = (folder / "all.zip").read_bytes()
    (folder / "all.zip").write_bytes(content[: len(content) // 2])
    return folder / "all.zip"


def _spoilt_zip(compression: int) -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "all.zip", "w", compression) as archive:
            for file in folder.glob("taxi_zones.*"):
                archive.write(file, file.name)
            start = archive.getinfo("taxi_zones.dbf").header_offset
        content = bytearray((folder / "all.zip").read_bytes())
        content[start + 60 : start + 70] = bytes(byte ^ 0xFF for byte in content[start + 60 : start + 70])
        (folder / "all.zip").write_bytes(content)
        return folder / "all.zip"

    return spoil


def _bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("taxi_zones.shp", bytes(MAX_PART_BYTES + 1))
        archive.write(folder / "taxi_zones.dbf", "taxi_zones.dbf")
    return folder / "all.zip"


def _large_file(folder: Path) -> Path:
    with (folder / "taxi_zones.dbf").open("r+b") as file:
        file.truncate(MAX_PART_BYTES + 1)
    return folder


def _degrees(folder: Path) -> Path:
    return write_zones(folder, [(1, "Newark", square(-74.0, 40.7, 0.1))])


def _other_columns(folder: Path) -> Path:
    with shapefile.Writer(str(folder / "taxi_zones"), shapeType=shapefile.POLYGON) as writer:
        writer.field("borough", "C", 20)
        writer.poly([square(1_000_000, 200_000, 1_000)])
        writer.record("Queens")
    return folder


def _points(folder: Path) -> Path:
    with shapefile.Writer(str(folder / "taxi_zones"), shapeType=shapefile.POINT) as writer:
        writer.field("LocationID", "N", 4)
        writer.field("zone", "C", 60)
        writer.point(1_000_000, 200_000)
        writer.record(1, "Newark")
    return folder


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: folder / "nowhere.zip", "nowhere.zip is not there"),
        (_remove("taxi_zones.dbf"), "taxi_zones.shp is there, but not its .dbf"),
        (_remove("taxi_zones.shp"), "holds 0 .shp files, expected one"),
        (_cut("taxi_zones.shp"), "is damaged"),
        (_cut("taxi_zones.dbf"), "is damaged"),
        (_page_instead_of_zip, "can't be read"),
        (_cut_zip, "can't be read"),
        (_spoilt_zip(zipfile.ZIP_STORED), "can't be read"),
        (_spoilt_zip(zipfile.ZIP_DEFLATED), "can't be read"),
        (_spoilt_zip(zipfile.ZIP_BZIP2), "can't be read"),
        (_spoilt_zip(zipfile.ZIP_LZMA), "can't be read"),
        (_bomb, "taxi_zones.shp has 67,108,865 bytes unpacked, at most 67,108,864 are read"),
        (_large_file, "taxi_zones.dbf has 67,108,865 bytes"),
        (_degrees, "expected New York in EPSG:2263 feet"),
        (_other_columns, "but not LocationID and zone"),
        (_points, "no polygons"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_way_out(
    tmp_path: Path, spoil: Callable[[Path], Path], message: str
) -> None:
    rings = [(one, f"Zone {one}", square(1_000_000 + 2_000 * one, 200_000, 1_000)) for one in range(1, 30)]
    path = spoil(write_zones(tmp_path / "zones", rings))
    with pytest.raises(ZoneTableError) as refusal:
        load_zone_table(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "taxi-flows data fetch" in str(refusal.value)
    assert "TAXI_ZONE_TABLE" in str(refusal.value)
