"""What passes between the steps: files, batches of trips, points and their labels. Arrays travel in dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from flows.core.frozen import Frozen
from flows.model.metric import Count
from flows.model.spec import CoordinateType
from flows.store.protocol import RemoteContent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["coordinates", "zones"]

Clock = Literal["as written", "as written, its offset is false", "12 hours, month first", "converted from UTC"]
"""How pick-up times became New York's clock."""

DropReason = Literal["null", "zero", "outside", "unknown_zone", "time"]

DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)

BAD_LINES_LISTED = 20

NO_TIME = -(2**63)
"""The pick-up minute of a trip without one."""


class BadRows(Frozen):
    """Lines of a text file that don't fit its header. lines: the numbers of the first BAD_LINES_LISTED."""

    n: Count = 0
    lines: tuple[int, ...] = ()

    def extended(self, lines: tuple[int, ...]) -> BadRows:
        """With lines that stand further down."""
        return BadRows(n=self.n + len(lines), lines=(*self.lines, *lines)[:BAD_LINES_LISTED])

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.lines)) + (", ..." if self.n > len(self.lines) else "")
        return f"{self.n:,} bad row{'s' * (self.n > 1)} (line{'s' * (self.n > 1)} {listed})"


@dataclass(frozen=True)
class SourceFile:
    """One file of a data source: on a local path, or read where it is, in which case the path is but a name."""

    name: str
    path: Path
    size_bytes: int
    remote: RemoteContent | None = None


@dataclass(frozen=True, eq=False)
class TripBatch:
    """n consecutive rows of one file of the source, reduced to what the run needs.

    file_index: which of the source's files.
    first_row: 0-based index of the first row over the whole source.
    lon, lat: per end (in `ends_of` order) float64[n] WGS84 degrees, NaN where missing; None in a zone source.
    zone: per end int64[n] TLC zone ids, -1 where missing; None in a coordinate source.
    pickup_minute: int64[n] minutes since 1970-01-01 00:00 of the pick-up's local clock, NO_TIME where missing; only
        when the spec filters by time.
    clocks: how its times were read. n_differing: rows in which two columns of one meaning have different values.
    bad_lines: numbers of the file's lines that were left out; they are no rows.
    """

    file_index: int
    first_row: int
    n_rows: int
    lon: tuple[NDArray[np.float64], ...] | None
    lat: tuple[NDArray[np.float64], ...] | None
    zone: tuple[NDArray[np.int64], ...] | None
    pickup_minute: NDArray[np.int64] | None
    bad_lines: tuple[int, ...] = ()
    clocks: frozenset[Clock] = frozenset()
    n_differing: int = 0


@dataclass(frozen=True, eq=False)
class TripSource:
    """A checked source: what its files are, and a way to stream them.

    batches: called with nothing, gives the batches in row order; may raise SourceError at a bad row.
    n_rows: rows of the whole source where a footer tells (parquet), else None.
    zone_columns: columns of zone ids that are not read, because there are coordinates as well.
    open_seconds: what checking the files took.
    """

    files: tuple[SourceFile, ...]
    dialects: tuple[str, ...]
    kind: Kind
    n_rows: int | None
    batches: Callable[[], Iterator[TripBatch]]
    zone_columns: tuple[str, ...] = ()
    open_seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Points:
    """Used points, collapsed to unique ones in first-occurrence order.

    xy_m: float64[n_unique, 2], EPSG:32118 metres on the 2^-10 m grid.
    weights: int64[n_unique], used points at each.
    inverse: int32 or int64[n_used], index into xy_m of each used point, in point order.
    kept: bool[n_rows * n_ends], which points are used; a point's place is row * n_ends + end.
    dropped: points left out, by the first reason that applies.
    skipped_per_file: bad rows that were left out; n_rows and kept do not count them.
    clocks, n_differing: as in TripBatch, of all of them.
    """

    xy_m: NDArray[np.float64]
    weights: NDArray[np.int64]
    inverse: NDArray[np.int32] | NDArray[np.int64]
    kept: NDArray[np.bool_]
    coordinate_type: CoordinateType
    kind: Kind
    n_rows: int
    dropped: dict[DropReason, int]
    rows_per_file: tuple[int, ...]
    ingest_seconds: float
    prepare_seconds: float
    skipped_per_file: tuple[BadRows, ...] = ()
    clocks: frozenset[Clock] = frozenset()
    n_differing: int = 0

    @property
    def n_used(self) -> int:
        """Used points before the collapse."""
        return len(self.inverse)

    @property
    def n_unique(self) -> int:
        """Distinct used points."""
        return len(self.xy_m)


@dataclass(frozen=True, eq=False)
class Clustering:
    """Labels of the unique points and what the fit cost.

    labels: int64[n_unique]; core: bool[n_unique].
    fit_seconds: the adapter's `fit` alone. cpu_seconds: user + system time of process and children during it.
    peak_memory_bytes: highest resident memory of process and children during `fit` minus that before it; None where
    that is too little to measure.
    """

    labels: NDArray[np.int64]
    core: NDArray[np.bool_]
    n_jobs: int
    fit_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int | None
