"""The two coordinate reference systems, and PROJ's own way from one to the other; nothing is compiled here."""

from __future__ import annotations

from functools import lru_cache

from pyproj import Transformer

WGS84 = "EPSG:4326"
LONG_ISLAND_M = "EPSG:32118"


@lru_cache(maxsize=1)
def to_metres() -> Transformer:
    """PROJ's own WGS84 (lon, lat) to EPSG:32118 metres."""
    return Transformer.from_crs(WGS84, LONG_ISLAND_M, always_xy=True)
