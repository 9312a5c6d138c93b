"""TLC's taxi zones: where a zone id lies, and which zone holds a point."""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapefile
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import shape

from flows.core.crs import WGS84
from flows.core.errors import ZoneTableError

TLC_CRS = "EPSG:2263"
"""NAD83 / New York Long Island, US survey feet: what TLC's zones are drawn in."""

_CITY_FT = (900_000.0, 110_000.0, 1_080_000.0, 280_000.0)
MAX_PART_BYTES = 1 << 26
"""Of the .shp and of the .dbf, unpacked; TLC's have 1.6 MB and 0.15 MB."""

_COLUMNS = ("LocationID", "zone")
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
# pyshp checks little: damage shows as whatever a wrong number leads to.
_DAMAGE = (
    shapefile.ShapefileException,
    shapely.errors.GEOSException,
    struct.error,
    Warning,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
)
_GET_IT = (
    "`taxi-flows data fetch yellow 2025-09` downloads TLC's table into the store; TAXI_ZONE_TABLE names one elsewhere "
    "(zip, folder or .shp)"
)


@dataclass(frozen=True, eq=False)
class ZoneTable:
    """The zones by LocationID.

    TLC numbers zones by the number of their polygon (OBJECTID), and two zones have several polygons, which share the
    lowest of their numbers: Corona's two polygons, 56 and 57, are both LocationID 56; Governor's, Ellis and Liberty
    Island, 103, 104 and 105, are all LocationID 103. So 56 stands twice in the file and 103 three times, and 57, 104
    and 105, which taxi_zone_lookup.csv and some trips do have, have no polygon. 264 and 265 are no places: they mean
    `Unknown` and `Outside of NYC`.

    ids: int64[k], the distinct LocationIDs, ascending.
    lon, lat: float64[k] WGS84 degrees, the area-weighted centroid of all polygons of the id, computed in EPSG:2263.
    names: k names.
    polygons: object[p] shapely (multi)polygons in EPSG:2263, one per entry of the file.
    polygon_zone: int64[p], index into ids of each.
    sha256: of the bytes of the .shp and the .dbf, however they are packed.
    """

    ids: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    names: tuple[str, ...]
    polygons: NDArray[np.object_]
    polygon_zone: NDArray[np.int64]
    sha256: str

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons)

    def index_at(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
        """int64[m]: index into ids of the zone that holds each point, the lowest on a border; -1 outside all."""
        x_ft, y_ft = Transformer.from_crs(WGS84, TLC_CRS, always_xy=True).transform(lon, lat)
        point, polygon = self._tree.query(shapely.points(x_ft, y_ft), predicate="intersects")
        none = len(self.ids)
        lowest = np.full(len(lon), none, np.int64)
        np.minimum.at(lowest, point, self.polygon_zone[polygon])
        return np.where(lowest == none, -1, lowest)

    def zone_at(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[str | None]:
        """Names of the zones that hold m points (WGS84 degrees), None outside all."""
        return [self.names[index] if index >= 0 else None for index in self.index_at(lon, lat)]


def load_zone_table(path: Path) -> ZoneTable:
    """Read taxi_zones from a zip, a folder or a .shp.

    Raises:
        ZoneTableError: it is missing, unreadable, lacks a part or column, or is not drawn in EPSG:2263.
    """
    shp, dbf = _parts(path)
    polygons, ids, names = _entries(path, shp, dbf)
    _check_place(path, polygons)
    distinct, first, zone = np.unique(ids, return_index=True, return_inverse=True)
    lon, lat = _centroids(polygons, zone, len(distinct))
    return ZoneTable(
        ids=distinct,
        lon=lon,
        lat=lat,
        names=tuple(names[index] for index in first),
        polygons=polygons,
        polygon_zone=zone,
        sha256=hashlib.sha256(shp + dbf).hexdigest(),
    )


def _parts(path: Path) -> tuple[bytes, bytes]:
    """Bytes of the .shp and of its .dbf."""
    if not path.exists():
        raise ZoneTableError(f"zone table {path} is not there. {_GET_IT}.")
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                # A zip made by macOS has a shadow of each file there.
                shp, dbf = _pair(path, [name for name in archive.namelist() if not name.startswith("__MACOSX/")])
                _check_sizes(path, {name: archive.getinfo(name).file_size for name in (shp, dbf)})
                return archive.read(shp), archive.read(dbf)
        folder = path if path.is_dir() else path.parent
        files = folder.iterdir() if path.is_dir() else (path, path.with_suffix(".dbf"), path.with_suffix(".DBF"))
        shp, dbf = _pair(path, [file.name for file in files if file.is_file()])
        _check_sizes(path, {name: (folder / name).stat().st_size for name in (shp, dbf)})
        return (folder / shp).read_bytes(), (folder / dbf).read_bytes()
    except (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        raise ZoneTableError(f"zone table {path} can't be read: {error}. {_GET_IT}.") from error


def _check_sizes(path: Path, sizes: dict[str, int]) -> None:
    for name, n_bytes in sizes.items():
        if n_bytes > MAX_PART_BYTES:
            raise ZoneTableError(
                f"zone table {path}: {name} has {n_bytes:,} bytes unpacked, at most {MAX_PART_BYTES:,} are read. "
                f"{_GET_IT}."
            )


def _pair(path: Path, names: list[str]) -> tuple[str, str]:
    """The one .shp among some files, and its .dbf."""
    found = [name for name in names if name.lower().endswith(".shp")]
    if len(found) != 1:
        raise ZoneTableError(f"zone table {path} holds {len(found)} .shp files, expected one. {_GET_IT}.")
    for name in names:
        if name.lower() == found[0].lower()[:-4] + ".dbf":
            return found[0], name
    raise ZoneTableError(f"zone table {path}: {found[0]} is there, but not its .dbf with the ids. {_GET_IT}.")


def _entries(path: Path, shp: bytes, dbf: bytes) -> tuple[NDArray[np.object_], NDArray[np.int64], list[str]]:
    """Polygons object[p], LocationIDs int64[p] and names of the file's entries."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as: the header declares another size than the file has
            with shapefile.Reader(shp=io.BytesIO(shp), dbf=io.BytesIO(dbf)) as reader:
                _check_columns(path, [field[0] for field in reader.fields[1:]])
                entries = reader.shapeRecords()
        polygons = np.array([shape(entry.shape) for entry in entries], dtype=object)
        ids = np.array([int(entry.record["LocationID"]) for entry in entries], np.int64)
        return polygons, ids, [str(entry.record["zone"]) for entry in entries]
    except _DAMAGE as error:
        raise ZoneTableError(f"zone table {path} is damaged: {error}. {_GET_IT}.") from error


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise ZoneTableError(
            f"zone table {path} has the columns {columns}, but not {' and '.join(missing)}. {_GET_IT}."
        )


def _check_place(path: Path, polygons: NDArray[np.object_]) -> None:
    """Refuse what is no polygon, and what is not drawn in EPSG:2263."""
    if not (np.isin(shapely.get_type_id(polygons), _POLYGONAL).all() and (shapely.area(polygons) > 0).all()):
        raise ZoneTableError(f"zone table {path} holds shapes that are no polygons. {_GET_IT}.")
    found = shapely.total_bounds(polygons)
    if not shapely.box(*_CITY_FT).contains(shapely.box(*found)):
        raise ZoneTableError(
            f"zone table {path} spans {found.round(2).tolist()}, expected New York in {TLC_CRS} feet, within "
            f"{list(_CITY_FT)}. {_GET_IT}."
        )


def _centroids(
    polygons: NDArray[np.object_], zone: NDArray[np.int64], n_zones: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """WGS84 lon and lat of each zone's area-weighted centroid."""
    area, centroid = shapely.area(polygons), shapely.get_coordinates(shapely.centroid(polygons))
    whole = np.bincount(zone, area, n_zones)
    x_ft, y_ft = (np.bincount(zone, area * centroid[:, axis], n_zones) / whole for axis in (0, 1))
    lon, lat = Transformer.from_crs(TLC_CRS, WGS84, always_xy=True).transform(x_ft, y_ft)
    return lon, lat
