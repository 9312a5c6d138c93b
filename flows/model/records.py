"""The record of an experiment as it is kept, and its parts."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    AwareDatetime,
)

from flows.core.frozen import Frozen
from flows.core.settings import CityBox, ScoreSettings
from flows.model.metric import Count, Measured, Metric
from flows.model.points import BadRows, Clock, DropReason, Kind
from flows.model.spec import ExperimentSpec

ONE_BLOB_NOTE = "eps is too large for hot spots"
"""Said of a clustering where one cluster holds more than half of the used trips."""

DIFFERING_NOTE = "two columns of one meaning have different values; the first column's is used"
"""Said of rows of a file whose dialects were joined by name."""


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
