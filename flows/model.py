"""The frozen models that pass between the steps, and the record that is kept.

Arrays travel in dataclasses, everything that is stored or sent is pydantic. Importing this needs pydantic alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, get_args

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from flows.core.frozen import INT64_MAX, Frozen
from flows.core.settings import CityBox, ScoreSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CoordinateType = Literal["pickup", "dropoff", "both"]
End = Literal["pickup", "dropoff"]
Kind = Literal["coordinates", "zones"]
Clock = Literal["as written", "as written, its offset is false", "12 hours, month first", "converted from UTC"]
"""How pick-up times became New York's clock."""
DropReason = Literal["null", "zero", "outside", "unknown_zone", "time"]
DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)

BAD_LINES_LISTED = 20

NO_TIME = -(2**63)
"""The pick-up minute of a trip without one."""

UNITS_PER_METRE = 1024
"""Points and eps are rounded to 2^-10 m, so that a tie at eps means the same everywhere (design, section 2)."""


Seed = Annotated[int, Field(ge=0, le=INT64_MAX, strict=True)]
MinSamples = Annotated[int, Field(ge=1, le=INT64_MAX, strict=True)]
MaxSamples = Annotated[int, Field(ge=1, le=INT64_MAX, strict=True)]
Count = Annotated[int, Field(ge=0, le=INT64_MAX)]

ONE_BLOB_NOTE = "eps is too large for hot spots"
"""Said of a clustering where one cluster holds more than half of the used trips."""

DIFFERING_NOTE = "two columns of one meaning have different values; the first column's is used"
"""Said of rows of a file whose dialects were joined by name."""


def ends_of(coordinate_type: CoordinateType) -> tuple[End, ...]:
    """The ends of a trip that are clustered, in the order in which each row's points are pooled."""
    return ("pickup", "dropoff") if coordinate_type == "both" else (coordinate_type,)


def eps_to_metres(eps_km: float) -> float:
    """eps in metres on the 2^-10 m grid."""
    return round(eps_km * 1000 * UNITS_PER_METRE) / UNITS_PER_METRE


class Metric(Frozen):
    """A number, or None with the reason why it is not defined."""

    # What is computed may be anything; `Measured` refuses it where it is read from a file.
    model_config = ConfigDict(allow_inf_nan=True)

    value: float | None
    reason: str | None = None


class Measured(Frozen):
    """Base of models that hold metrics. Stored, a metric is a plain number, or null beside `<name>_reason`."""

    @model_serializer(mode="wrap")
    def _flatten(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        stored: dict[str, object] = write(self)
        for name, metric in self:
            if isinstance(metric, Metric):
                stored[name] = metric.value
                if metric.value is None:
                    stored[f"{name}_reason"] = metric.reason
        return stored

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, stored: object) -> object:
        if not isinstance(stored, dict):
            return stored
        folded = dict(stored)
        for name, field in cls.model_fields.items():
            if field.annotation is Metric and not isinstance(folded.get(name, {}), Metric | dict):
                if isinstance(folded[name], float) and not math.isfinite(folded[name]):
                    raise ValueError(f"{name} is {folded[name]}")
                folded[name] = {"value": folded[name], "reason": folded.pop(f"{name}_reason", None)}
        return folded


class ExperimentSpec(Frozen):
    """What to cluster and how; the guide's parameters. Build it with `flows.parameters.experiment_spec`."""

    data_source: Annotated[tuple[str, ...], Field(min_length=1)]
    adapter_type: str = "sklearn"
    eps: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 0.5
    min_samples: MinSamples = 5
    coordinate_type: CoordinateType = "pickup"
    use_location_ids: bool = True
    max_samples: MaxSamples | None = None
    use_minio: bool = True
    seed: Seed = 0
    hours: str | None = None
    weekdays: str | None = None

    @property
    def eps_m(self) -> float:
        """eps in metres, rounded to 2^-10 m."""
        return eps_to_metres(self.eps)

    @property
    def filters_time(self) -> bool:
        """Whether trips are chosen by their pick-up's clock."""
        return self.hours is not None or self.weekdays is not None


class RemoteContent(Protocol):
    """An object of a remote store, whose parts are read where it is."""

    @property
    def size_bytes(self) -> int:
        """Size of the object."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from offset on; fewer than length where the object ends."""
        ...

    def sha256(self) -> str:
        """SHA-256 of the whole content, in hexadecimal."""
        ...


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


class Quality(Measured):
    """Quality of a clustering, in trips. Silhouette is on the seeded sample, the others on all clustered points."""

    silhouette: Metric
    davies_bouldin: Metric
    calinski_harabasz: Metric
    silhouette_sample_size: Count
    silhouette_sample_clustered: Count


class Performance(Measured):
    """What the fit cost."""

    n_jobs: Count
    runtime_seconds: float
    cpu_seconds: float
    points_per_second: Metric
    peak_memory_bytes: Metric


class ClusterCounts(Measured):
    """What came out, counted in used points before the collapse; sizes by cluster number."""

    n_clusters: Count
    n_core: Count
    n_border: Count
    n_noise: Count
    noise_ratio: Metric
    largest_cluster_share: Metric
    one_blob: bool
    note: str | None = None
    sizes: tuple[Count, ...]


class PointCounts(Frozen):
    """From rows to distinct points: rows = rows read; the others count points, per end.

    clocks: how pick-up times were read, where trips are chosen by them. differing_rows: rows in which two columns of
    one meaning have different values; the first column's was used.
    """

    rows: Count
    used: Count
    unique: Count
    dropped: dict[DropReason, Count]
    positions: Kind
    note: str | None = None
    clocks: tuple[Clock, ...] = ()
    differing_rows: Count = 0

    @property
    def clock(self) -> str:
        """Which clock hours and weekdays mean, and how the file's times became it."""
        return f"New York's; times {', '.join(self.clocks)}"


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


class FileFingerprint(Frozen):
    """One file as it was read. rows: without the skipped ones."""

    name: str
    size_bytes: Count
    sha256: str
    rows: Count
    dialect: str
    skipped: BadRows = BadRows()


class RecordedSettings(Frozen):
    """The settings that a result depends on."""

    city_box: CityBox
    score: ScoreSettings
    silhouette_sample: Count
    skip_truncated: bool
    skip_bad_rows: Count = 0
    allow_mostly_dropped: bool
    zone_table_sha256: str | None = None


class Environment(Frozen):
    """Where and with what the run was made."""

    taxi_flows: str
    python: str
    platform: str
    libraries: dict[str, str]
    image: str | None
    flow_run_id: str | None


class ExperimentRecord(Measured):
    """One experiment as it is kept: enough to repeat its labels, clusters and quality bit by bit."""

    schema_version: Literal[1] = 1
    id: str
    flow: str
    sweep_id: str | None = None
    created: AwareDatetime
    key: str
    clusters_key: str
    spec: ExperimentSpec
    settings: RecordedSettings
    source: tuple[FileFingerprint, ...]
    points: PointCounts
    clustering: ClusterCounts
    quality: Quality | None
    performance: Performance
    overall_score: Metric
    timings: dict[str, float]
    environment: Environment
