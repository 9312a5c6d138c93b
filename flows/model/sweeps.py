"""The frozen models of sweeps, comparisons and aggregates, and the records that are kept of them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from flows.core.frozen import Frozen
from flows.model import parameter
from flows.model.metric import Count, Measured, Metric
from flows.model.records import (
    ClusterCounts,
    Environment,
    FileFingerprint,
    Performance,
    PointCounts,
    Quality,
    RecordedSettings,
)
from flows.model.spec import CoordinateType, Eps, MaxSamples, MinSamples, Seed

AUTO_FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""What the middle of the suggested eps values is multiplied by: the knee of the k-distance curve, or below it."""


class GridBase(Frozen):
    """A grid but for its eps values."""

    data_source: Annotated[tuple[str, ...], Field(min_length=1)]
    adapters: Annotated[tuple[str, ...], Field(min_length=1)]
    min_samples_values: Annotated[tuple[MinSamples, ...], Field(min_length=1)]
    metric: str = parameter.METRIC
    coordinate_type: CoordinateType = "pickup"
    use_location_ids: bool = True
    max_samples: MaxSamples | None = None
    use_minio: bool = True
    seed: Seed = 0
    hours: str | None = None
    weekdays: str | None = None


class GridSpec(GridBase):
    """A grid of settings over one data source. eps in kilometres, distinct values in the order given.

    Build it with `flows.model.sweep_parameters.grid_spec`.
    """

    eps_values: Annotated[tuple[Eps, ...], Field(min_length=1)]


class AutoGrid(GridBase):
    """A grid whose eps values follow from the points (`eps_values="auto"`), so are not known before these are read."""

    def with_eps(self, eps_values: tuple[float, ...]) -> GridSpec:
        """The grid with the eps values, km, that were suggested (`KDistances.eps_values`)."""
        return GridSpec.model_validate({**self.model_dump(), "eps_values": eps_values})


class KDistances(Frozen):
    """The k-distance curve that eps values were suggested from.

    k: the smallest min_samples; a point's k-distance is the distance to its k-th trip, its own included.
    sample_size: points of the seeded sample whose distances to all points were taken.
    distances_m: at most 500 points of the curve, ascending, evenly spaced in rank.
    knee_m: the knee. limit_m: the largest eps, to 10 m, at which no cluster holds more than half of the used points
    with min_samples k, where that is below the knee, else None. eps_values: what follows from the two, km.
    """

    k: Count
    seed: Count
    sample_size: Count
    distances_m: tuple[float, ...]
    knee_m: float
    limit_m: float | None = None
    eps_values: tuple[float, ...]


class Cell(Measured):
    """One setting of a sweep: what came out, or why it failed. experiment_id names its own record.

    labels_sha256: of the canonical labels as int32 (little-endian), one for each unique point.
    evaluate_seconds: what judging took; None in cells of versions that did not keep it.
    """

    adapter: str
    eps: float
    min_samples: Count
    status: Literal["ok", "failed"]
    reason: str | None = None
    experiment_id: str | None = None
    labels_sha256: str | None = None
    clustering: ClusterCounts | None = None
    quality: Quality | None = None
    performance: Performance | None = None
    overall_score: Metric = Metric(value=None, reason="the cell failed")
    evaluate_seconds: float | None = None


class Facts(Frozen):
    """What all cells of a sweep share: the trips they cluster, and where and how these were made ready.

    timings: seconds by step, but for those of single cells.
    """

    settings: RecordedSettings
    source: tuple[FileFingerprint, ...]
    points: PointCounts
    timings: dict[str, float]
    environment: Environment


class SweepRecord(Frozen):
    """One sweep as it is kept. best: index into cells, None where no cell has the metric (best_reason says why)."""

    schema_version: Literal[1] = 1
    id: str
    flow: str
    created: AwareDatetime
    key: str
    spec: GridSpec
    settings: RecordedSettings
    source: tuple[FileFingerprint, ...]
    points: PointCounts
    cells: tuple[Cell, ...]
    best: Count | None
    best_reason: str
    suggestion: KDistances | None = None
    timings: dict[str, float]
    environment: Environment


class Agreement(Measured):
    """One adapter against the first one of the comparison, in one cell or over all cells.

    speed_up: the first one's fit seconds over this one's. memory_ratio: this one's peak over the first one's.
    adjusted_rand: of the labels over used points; equal: element for element.
    """

    adapter: str
    reference: str
    eps: float | None
    min_samples: Count | None
    speed_up: Metric
    memory_ratio: Metric
    adjusted_rand: Metric
    equal: bool | None


class ComparisonRecord(Frozen):
    """The same grid through several adapters; `cells` in the order adapter, eps, min_samples."""

    schema_version: Literal[1] = 1
    id: str
    flow: str
    created: AwareDatetime
    key: str
    spec: GridSpec
    settings: RecordedSettings
    source: tuple[FileFingerprint, ...]
    points: PointCounts
    cells: tuple[Cell, ...]
    by_cell: tuple[Agreement, ...]
    overall: tuple[Agreement, ...]
    timings: dict[str, float]
    environment: Environment


class Statistic(Frozen):
    """One metric over the n records that define it; n_undefined have none.

    standard_deviation: of a sample (n - 1). low, high: 95 % bootstrap interval of the mean. Both are None for n < 2.
    """

    metric: str
    n: Count
    n_undefined: Count
    mean: float | None
    median: float | None
    standard_deviation: float | None
    low: float | None
    high: float | None


class Group(Frozen):
    """Records of one adapter and setting."""

    adapter: str
    eps: float
    min_samples: Count
    n_records: Count
    statistics: tuple[Statistic, ...]


class PairedTest(Frozen):
    """Runtimes of two adapters on the same data and setting, paired; p_value None with a reason where too few.

    median_ratio: of the first one's runtime over the second one's.
    """

    first: str
    second: str
    n_pairs: Count
    test: str
    statistic: float | None
    p_value: float | None
    median_ratio: float | None
    reason: str | None = None


class Trend(Frozen):
    """A group's metric in the period against the period of the same length before it.

    change: mean minus mean_before, in the metric's unit.
    """

    adapter: str
    eps: float
    min_samples: Count
    metric: str
    n: Count
    n_before: Count
    mean: float | None
    mean_before: float | None
    change: float | None


class AggregateRecord(Frozen):
    """Statistics of the experiments of the last days; first and last day are UTC, both included."""

    schema_version: Literal[1] = 1
    id: str
    flow: str
    created: AwareDatetime
    key: str
    first_day: date
    last_day: date
    seed: Count
    n_records: Count
    n_older_schema: Count
    corrupt: tuple[str, ...]
    groups: tuple[Group, ...]
    tests: tuple[PairedTest, ...]
    trends: tuple[Trend, ...]
    environment: Environment
