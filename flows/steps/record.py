"""Record: keep what is needed to repeat a run, and its clusters."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.core.errors import UnreadableFileError
from flows.core.settings import Settings
from flows.model.metric import Metric
from flows.model.points import BadRows, Clustering, Points, SourceFile, TripSource
from flows.model.records import (
    ClusterCounts,
    Environment,
    ExperimentRecord,
    FileFingerprint,
    Performance,
    PointCounts,
    Quality,
    RecordedSettings,
)
from flows.model.spec import ExperimentSpec
from flows.records.storage import clusters_key, new_id, record_key
from flows.steps.clusters import cluster_table, to_parquet
from flows.steps.lattice import lattice_note
from flows.store.protocol import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.datasets.zones import ZoneTable


@dataclass(frozen=True, eq=False)
class Finished:
    """An experiment that is done, but for its record.

    sha256s: of each file of the source, from `fingerprint_files`. quality: None where it was not asked for.
    timings: seconds by step. sweep_id: of the sweep that it is a cell of.
    """

    flow: str
    spec: ExperimentSpec
    settings: Settings
    source: TripSource
    sha256s: Sequence[str]
    points: Points
    clustering: Clustering
    counts: ClusterCounts
    quality: Quality | None
    performance: Performance
    overall_score: Metric
    timings: Mapping[str, float]
    environment: Environment
    zones: ZoneTable | None
    sweep_id: str | None = None


def record(finished: Finished, store: ObjectStore) -> tuple[ExperimentRecord, pa.Table]:
    """Keep the clusters, then the record: a record never points to nothing.

    Returns:
        The record, with the seconds up to its own writing as step `record`; the table of clusters
        (flows.steps.clusters.SCHEMA).

    Raises:
        StoreError: the store did not take them; no record is there then.
    """
    started = time.perf_counter()
    created = datetime.now(UTC)
    record_id = new_id(created)
    bucket = finished.settings.experiments_bucket
    clusters = cluster_table(finished.points, finished.clustering.labels, finished.zones)
    store.put_bytes(bucket, clusters_key(record_id), to_parquet(clusters))
    timings = {**finished.timings, "record": time.perf_counter() - started}
    kept = _build(finished, record_id, created, timings)
    store.put_bytes(bucket, kept.key, kept.model_dump_json(indent=2).encode())
    return kept, clusters


def _build(finished: Finished, record_id: str, created: datetime, timings: dict[str, float]) -> ExperimentRecord:
    return ExperimentRecord(
        id=record_id,
        flow=finished.flow,
        sweep_id=finished.sweep_id,
        created=created,
        key=record_key(record_id),
        clusters_key=clusters_key(record_id),
        spec=finished.spec,
        settings=recorded_settings(finished.settings, finished.zones),
        source=fingerprints(finished.source, finished.sha256s, finished.points),
        points=point_counts(finished.points, (finished.spec.eps_m,)),
        clustering=finished.counts,
        quality=finished.quality,
        performance=finished.performance,
        overall_score=finished.overall_score,
        timings=timings,
        environment=finished.environment,
    )


def recorded_settings(settings: Settings, zones: ZoneTable | None) -> RecordedSettings:
    """The settings that a result depends on."""
    return RecordedSettings(
        city_box=settings.city_box,
        score=settings.score,
        silhouette_sample=settings.silhouette_sample,
        skip_truncated=settings.skip_truncated,
        skip_bad_rows=settings.skip_bad_rows,
        allow_mostly_dropped=settings.allow_mostly_dropped,
        zone_table_sha256=zones.sha256 if zones is not None else None,
    )


def fingerprints(source: TripSource, sha256s: Sequence[str], points: Points) -> tuple[FileFingerprint, ...]:
    """The files of a source as they were read."""
    skipped_per_file = points.skipped_per_file or (BadRows(),) * len(source.files)
    return tuple(
        FileFingerprint(
            name=file.name, size_bytes=file.size_bytes, sha256=sha256, rows=rows, dialect=dialect, skipped=skipped
        )
        for file, sha256, rows, dialect, skipped in zip(
            source.files, sha256s, points.rows_per_file, source.dialects, skipped_per_file, strict=True
        )
    )


def point_counts(points: Points, eps_values_m: Sequence[float]) -> PointCounts:
    """From rows to distinct points, as it is recorded, with a note where their places are coarser than an eps."""
    by_zone = points.kind == "zones"
    return PointCounts(
        rows=points.n_rows,
        used=points.n_used,
        unique=points.n_unique,
        dropped=points.dropped,
        positions=points.kind,
        note=f"positions are zone centroids: {points.n_unique:,} distinct points"
        if by_zone
        else lattice_note(points, eps_values_m),
        clocks=tuple(sorted(points.clocks)),
        differing_rows=points.n_differing,
    )


def fingerprint_files(files: Sequence[SourceFile]) -> tuple[str, ...]:
    """SHA-256 of each file, in hexadecimal. Gives way to other threads while it reads.

    Raises:
        UnreadableFileError: a file has changed since it was looked up.
    """
    return tuple(_sha256(file) for file in files)


def _sha256(file: SourceFile) -> str:
    if file.remote is not None:
        return file.remote.sha256()
    with file.path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        read_bytes = content.tell()
    if read_bytes != file.size_bytes:
        raise UnreadableFileError(
            f"{file.name} has {read_bytes:,} bytes now and had {file.size_bytes:,} when the run began: it changed "
            "meanwhile. Run it again when the file is complete."
        )
    return digest
