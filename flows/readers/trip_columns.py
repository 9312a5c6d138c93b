"""The columns of one chunk as the arrays of a batch; where several columns play a role, joined row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flows.model.points import NO_TIME, Clock
from flows.model.spec import End
from flows.readers.columns import BadValueError, to_numbers, to_zones
from flows.readers.dialects import COORDINATE_ROLES, ZONE_ROLES
from flows.readers.layout import Layout
from flows.readers.table import Chunk, row_error
from flows.readers.times import to_minutes

Converted = TypeVar("Converted")
_Parts = TypeVar("_Parts", bound=tuple[NDArray[Any], ...])


class TripColumns:
    """One chunk of a checked file.

    clocks: how the times that were asked for are written. differing: bool[n], rows in which two columns of one role
    have different values.

    Raises:
        RowError: from each method, a cell that is not what its column needs.
    """

    def __init__(self, chunk: Chunk, layout: Layout) -> None:
        self._chunk, self._layout = chunk, layout
        self.clocks: frozenset[Clock] = frozenset()
        self.differing = np.zeros(chunk.n_rows, np.bool_)

    def coordinates(self, end: End) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude, float64[n] each, both of the same pair of columns; NaN where missing.

        A pair with a 0 has no value where another one has.
        """
        places = zip(*(self._layout.columns[role] for role in COORDINATE_ROLES[end]), strict=True)
        parts = [(self._convert(to_numbers, lon), self._convert(to_numbers, lat)) for lon, lat in places]
        return self._joined(parts, lambda lon, lat: (lon != 0) & (lat != 0) & ~np.isnan(lon) & ~np.isnan(lat))

    def zones(self, end: End) -> NDArray[np.int64]:
        """Zone ids int64[n]; -1 where missing."""
        parts = [(self._convert(to_zones, column),) for column in self._layout.columns[ZONE_ROLES[end]]]
        return self._joined(parts, lambda zone: zone > 0)[0]

    def pickup_minutes(self) -> NDArray[np.int64]:
        """Minutes int64[n] of the city's clock; NO_TIME where missing."""
        parts: list[tuple[NDArray[np.int64]]] = []
        for column in self._layout.columns["pickup_time"]:
            minutes, clocks = self._convert(self._minutes, column)
            self.clocks |= clocks
            parts.append((minutes,))
        return self._joined(parts, lambda minutes: minutes != NO_TIME)[0]

    def _minutes(self, values: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.int64], frozenset[Clock]]:
        return to_minutes(values, self._layout.dialect.false_offsets)

    def _joined(self, parts: list[_Parts], has_value: Callable[..., NDArray[np.bool_]]) -> _Parts:
        """Of each row the first part that has a value; the first part where none has."""
        first, *others = parts
        if not others:
            return first
        joined = tuple(np.array(array) for array in first)
        has = has_value(*first)
        for part in others:
            new = has_value(*part)
            unlike = np.logical_or.reduce([a != b for a, b in zip(joined, part, strict=True)])
            self.differing |= has & new & unlike
            for array, values in zip(joined, part, strict=True):
                np.copyto(array, values, where=new & ~has)
            has |= new
        return cast("_Parts", joined)

    def _convert(self, converter: Callable[[pa.Array | pa.ChunkedArray], Converted], column: int) -> Converted:
        try:
            return converter(self._chunk.columns[column])
        except BadValueError as error:
            place = self._chunk.place(error.index)
            raise row_error(self._layout.file, place, self._layout.table.names[column], str(error)) from error
