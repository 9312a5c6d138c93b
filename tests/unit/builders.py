"""Records made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer

from flows.core.settings import CityBox, ScoreSettings
from flows.model.metric import Metric
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
from flows.model.sweeps import (
    AggregateRecord,
    Agreement,
    Cell,
    ComparisonRecord,
    GridSpec,
    Group,
    KDistances,
    PairedTest,
    Statistic,
    SweepRecord,
    Trend,
)

CREATED = datetime(2026, 1, 31, 2, 3, 4, tzinfo=UTC)
UNDEFINED = Metric(value=None, reason="one cluster")
SOURCE = "yellow_tripdata_2016-01.parquet"

_ENVIRONMENT = Environment(
    taxi_flows="0.1.0",
    python="3.11.7",
    platform="Linux-6.1-x86_64",
    libraries={"numpy": "2.3.4", "scikit-learn": "1.7.2"},
    image=None,
    flow_run_id=None,
)
_SETTINGS = RecordedSettings(
    city_box=CityBox(),
    score=ScoreSettings(),
    silhouette_sample=10_000,
    skip_truncated=False,
    allow_mostly_dropped=False,
)
_POINTS = PointCounts(
    rows=50_000,
    used=49_000,
    unique=48_000,
    dropped={"null": 0, "zero": 800, "outside": 200, "unknown_zone": 0, "time": 0},
    positions="coordinates",
)


def a_counts(n_clusters: int = 3, used: int = 49_000, one_blob: bool = False) -> ClusterCounts:
    """Counts of used points, 8 % of them noise."""
    clustered = used - used * 8 // 100
    first = clustered if n_clusters == 1 else clustered // 2
    rest = n_clusters - 1
    sizes = (first, *((clustered - first) // rest for _ in range(rest)))
    return ClusterCounts(
        n_clusters=n_clusters,
        n_core=clustered - 1000,
        n_border=1000,
        n_noise=used - clustered,
        noise_ratio=Metric(value=(used - clustered) / used),
        largest_cluster_share=Metric(value=first / used),
        one_blob=one_blob,
        note="eps is too large for hot spots" if one_blob else None,
        sizes=sizes,
    )


def a_quality(silhouette: float = 0.41) -> Quality:
    return Quality(
        silhouette=Metric(value=silhouette),
        davies_bouldin=Metric(value=0.82),
        calinski_harabasz=Metric(value=15_321.5),
        silhouette_sample_size=10_000,
        silhouette_sample_clustered=9_210,
    )


def a_performance(runtime_seconds: float = 0.731, peak_memory_bytes: float = 312 * 2**20) -> Performance:
    return Performance(
        n_jobs=2,
        runtime_seconds=runtime_seconds,
        cpu_seconds=1.3,
        points_per_second=Metric(value=49_000 / runtime_seconds),
        peak_memory_bytes=Metric(value=peak_memory_bytes),
    )


def a_source(name: str = SOURCE) -> tuple[FileFingerprint, ...]:
    return (FileFingerprint(name=name, size_bytes=1_234_567, sha256="0f" * 32, rows=50_000, dialect="yellow-2016"),)


def an_experiment_record(
    *,
    source: str = SOURCE,
    adapter: str = "sklearn",
    created: datetime = CREATED,
    number: int = 0,
    score: Metric | None = None,
    counts: ClusterCounts | None = None,
    runtime_seconds: float = 0.731,
) -> ExperimentRecord:
    """An evaluated experiment; `number` makes its id."""
    record_id = f"{created:%Y%m%dT%H%M%SZ}-{number:08x}"
    stem = f"experiments/date={created:%Y-%m-%d}/{record_id}"
    return ExperimentRecord(
        id=record_id,
        flow="evaluation_pipeline",
        created=created,
        key=f"{stem}.json",
        clusters_key=f"{stem}.clusters.parquet",
        spec=ExperimentSpec(data_source=(source,), adapter_type=adapter),
        settings=_SETTINGS,
        source=a_source(source),
        points=_POINTS,
        clustering=counts or a_counts(),
        quality=a_quality(),
        performance=a_performance(runtime_seconds),
        overall_score=score or Metric(value=0.7312),
        timings={"ingest": 0.12, "prepare": 0.31, "cluster": 0.731, "evaluate": 0.5, "record": 0.02},
        environment=_ENVIRONMENT,
    )


def a_cell(
    eps: float,
    min_samples: int,
    *,
    adapter: str = "sklearn",
    score: float | None = 0.6,
    one_blob: bool = False,
    runtime_seconds: float = 0.7,
) -> Cell:
    """A cell that succeeded; a score of None is an undefined one."""
    return Cell(
        adapter=adapter,
        eps=eps,
        min_samples=min_samples,
        status="ok",
        experiment_id=f"20260131T020304Z-{min_samples:08x}",
        clustering=a_counts(one_blob=one_blob),
        quality=a_quality(),
        performance=a_performance(runtime_seconds),
        overall_score=UNDEFINED if score is None else Metric(value=score),
        evaluate_seconds=0.25,
    )


def a_failed_cell(eps: float, min_samples: int, reason: str, adapter: str = "sklearn") -> Cell:
    return Cell(adapter=adapter, eps=eps, min_samples=min_samples, status="failed", reason=reason)


def a_sweep_record(
    cells: Sequence[Cell] | None = None, *, source: str = SOURCE, suggestion: KDistances | None = None
) -> SweepRecord:
    """A sweep; by default of 4 x 3 cells with a best, a blob, a failed and an undefined one."""
    found = tuple(cells if cells is not None else _default_cells())
    scored = [(cell.overall_score.value, -index) for index, cell in enumerate(found) if not _flagged(cell)]
    value, best = max(((value, index) for value, index in scored if value is not None), default=(None, 0))
    return SweepRecord(
        id="20260131T020304Z-00000001",
        flow="parameter_sweep_flow",
        created=CREATED,
        key="sweeps/date=2026-01-31/20260131T020304Z-00000001.json",
        spec=a_grid(found, source),
        settings=_SETTINGS,
        source=a_source(source),
        points=_POINTS,
        cells=found,
        best=None if value is None else -best,
        best_reason="no cell has an overall_score" if value is None else f"highest overall_score of {len(found)} cells",
        suggestion=suggestion,
        timings={"ingest": 0.12, "prepare": 0.31, "cells": 14.2},
        environment=_ENVIRONMENT,
    )


def a_grid(cells: Sequence[Cell], source: str = SOURCE) -> GridSpec:
    return GridSpec(
        data_source=(source,),
        adapters=tuple(dict.fromkeys(cell.adapter for cell in cells)),
        eps_values=tuple(dict.fromkeys(cell.eps for cell in cells)),
        min_samples_values=tuple(dict.fromkeys(cell.min_samples for cell in cells)),
    )


def _flagged(cell: Cell) -> bool:
    return cell.clustering is not None and cell.clustering.one_blob


def _default_cells() -> list[Cell]:
    scores = iter([0.5312, 0.6121, 0.5544, 0.7023, 0.6891, 0.6412, 0.6102, 0.5523, 0.4811, 0.9012, 0.4021, 0.3911])
    cells = [a_cell(eps, samples, score=next(scores)) for eps in (0.05, 0.1, 0.2, 0.5) for samples in (5, 10, 20)]
    cells[9] = a_cell(0.5, 5, score=0.9012, one_blob=True)
    cells[10] = a_failed_cell(0.5, 10, "would need 31.2 GiB of memory, the limit is 4.0 GiB: use adapter_type 'grid'")
    cells[11] = a_cell(0.5, 20, score=None)
    return cells


def a_suggestion(knee_m: float = 130.0) -> KDistances:
    """A curve with a long end, as trips have."""
    ranks = np.linspace(0, 1, 500)
    distances_m = knee_m * (0.15 + 0.6 * ranks + 0.25 * ranks**8 + 40 * ranks**60)
    factors = (0.5, 0.75, 1, 1.5, 2)
    return KDistances(
        k=5,
        seed=0,
        sample_size=20_000,
        distances_m=tuple(distances_m.tolist()),
        knee_m=knee_m,
        eps_values=tuple(round(knee_m * factor, -1) / 1000 for factor in factors),
    )


def a_comparison_record(
    adapters: Sequence[str] = ("sklearn", "sklearn_parallel", "grid"), eps_values: Sequence[float] = (0.1, 0.2, 0.5)
) -> ComparisonRecord:
    """The first adapter is the slowest; the last one's labels differ in no cell."""
    cells = [
        a_cell(eps, samples, adapter=adapter, runtime_seconds=8 * eps / (1 + 3 * place))
        for place, adapter in enumerate(adapters)
        for eps in eps_values
        for samples in (5, 10)
    ]
    others = adapters[1:]
    return ComparisonRecord(
        id="20260131T020304Z-00000002",
        flow="compare_adapters_sweep_flow",
        created=CREATED,
        key="comparisons/date=2026-01-31/20260131T020304Z-00000002.json",
        spec=a_grid(cells),
        settings=_SETTINGS,
        source=a_source(),
        points=_POINTS,
        cells=tuple(cells),
        by_cell=tuple(an_agreement(name, eps, samples) for name in others for eps in eps_values for samples in (5, 10)),
        overall=tuple(an_agreement(name, None, None) for name in others),
        timings={"ingest": 0.12, "prepare": 0.31, "cells": 20.0},
        environment=_ENVIRONMENT,
    )


def an_agreement(adapter: str, eps: float | None, min_samples: int | None) -> Agreement:
    return Agreement(
        adapter=adapter,
        reference="sklearn",
        eps=eps,
        min_samples=min_samples,
        speed_up=Metric(value=3.91),
        memory_ratio=Metric(value=None, reason="resident memory was not measured"),
        adjusted_rand=Metric(value=1.0),
        equal=True,
    )


def an_aggregate_record(adapters: Sequence[str] = ("sklearn", "sklearn_parallel")) -> AggregateRecord:
    return AggregateRecord(
        id="20260131T020304Z-00000003",
        flow="aggregate_results_flow",
        created=CREATED,
        key="aggregates/date=2026-01-31/20260131T020304Z-00000003.json",
        first_day=date(2026, 1, 25),
        last_day=date(2026, 1, 31),
        seed=0,
        n_records=14,
        n_older_schema=2,
        corrupt=("experiments/date=2026-01-30/<broken>.json",),
        groups=tuple(
            Group(adapter=adapter, eps=eps, min_samples=5, n_records=7, statistics=_statistics(place, eps))
            for place, adapter in enumerate(adapters)
            for eps in (0.1, 0.2)
        ),
        tests=(
            PairedTest(
                first=adapters[0],
                second=adapters[-1],
                n_pairs=7,
                test="Wilcoxon signed-rank",
                statistic=0.0,
                p_value=0.0156,
                median_ratio=2.9,
            ),
        ),
        trends=(
            Trend(
                adapter=adapters[0],
                eps=0.1,
                min_samples=5,
                metric="runtime_seconds",
                n=7,
                n_before=6,
                mean=2.1,
                mean_before=2.0,
                change=0.1,
            ),
        ),
        environment=_ENVIRONMENT,
    )


def _statistics(place: int, eps: float) -> tuple[Statistic, ...]:
    runtime, score = 9 * eps / (1 + 2 * place), 0.6 + 0.1 * eps
    return (
        Statistic(
            metric="overall_score",
            n=7,
            n_undefined=0,
            mean=score,
            median=score,
            standard_deviation=0.02,
            low=score - 0.015,
            high=score + 0.02,
        ),
        Statistic(
            metric="runtime_seconds",
            n=6,
            n_undefined=1,
            mean=runtime,
            median=runtime,
            standard_deviation=0.1,
            low=runtime - 0.1,
            high=runtime + 0.12,
        ),
    )


def a_cluster_frame(n_clusters: int, seed: int = 0, corners: int = 12) -> pd.DataFrame:
    """Clusters in the city, columns of flows.steps.clusters.SCHEMA; the first is the largest, each fifth is flat."""
    random = np.random.default_rng(seed)
    xy_m = random.uniform([295_000, 50_000], [325_000, 80_000], (n_clusters, 2))
    radius_m = random.uniform(20, 400, n_clusters)
    to_degrees = Transformer.from_crs("EPSG:32118", "EPSG:4326", always_xy=True)
    hulls = [_hull(one, radius, corners, to_degrees) for one, radius in zip(xy_m, radius_m, strict=True)]
    lon, lat = to_degrees.transform(*xy_m.T)
    frame = pd.DataFrame(
        {
            "id": np.arange(n_clusters),
            "size": np.maximum(20_000 // (np.arange(n_clusters) + 1), 5),
            "n_unique": 5,
            "lon": lon,
            "lat": lat,
            "x_m": xy_m[:, 0],
            "y_m": xy_m[:, 1],
            "radius_m": radius_m,
            "hull": pd.Series([None if index % 5 == 4 else hull for index, hull in enumerate(hulls)], dtype=object),
            "zone": pd.Series(
                [None if index % 7 == 6 else f"Zone <{index}>" for index in range(n_clusters)], dtype=object
            ),
            "zone_id": np.arange(n_clusters) % 263 + 1,
        }
    )
    return frame.astype({"zone_id": "Int64"})


def _hull(xy_m: np.ndarray, radius_m: float, corners: int, to_degrees: Transformer) -> bytes:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    ring_m = xy_m + radius_m * np.column_stack([np.cos(angles), np.sin(angles)])
    wkb: bytes = shapely.to_wkb(shapely.Polygon(np.column_stack(to_degrees.transform(*ring_m.T))))
    return wkb
