"""A small finished experiment, for tests of what comes after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.core.settings import load_settings
from flows.model.metric import Metric
from flows.model.points import Clustering, Points, SourceFile, TripBatch, TripSource
from flows.model.spec import ExperimentSpec
from flows.steps.environment import environment
from flows.steps.record import Finished, fingerprint_files
from flows.steps.score import count_clusters, performance


def no_batches() -> Iterator[TripBatch]:
    return iter(())


def finished_experiment(folder: Path, seed: int = 0) -> Finished:
    """120 unique points in three clusters and noise, ten rows dropped; one cluster has more than half of the trips."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2, -1], [80, 20, 10, 10])
    xy_m = np.round((rng.normal(0, 50, (120, 2)) + 3000 * labels[:, None] + (300_000, 60_000)) * 1024) / 1024
    weights = rng.integers(1, 4, 120)
    inverse = np.repeat(np.arange(120), weights)
    n_rows = len(inverse) + 10
    points = Points(
        xy_m=xy_m,
        weights=weights,
        inverse=inverse,
        kept=np.arange(n_rows) >= 10,
        coordinate_type="pickup",
        kind="coordinates",
        n_rows=n_rows,
        dropped={"null": 3, "zero": 7, "outside": 0, "unknown_zone": 0, "time": 0},
        rows_per_file=(n_rows,),
        ingest_seconds=0.1,
        prepare_seconds=0.2,
    )
    clustering = Clustering(
        labels=labels,
        core=labels >= 0,
        n_jobs=2,
        fit_seconds=0.5,
        cpu_seconds=0.9,
        peak_memory_bytes=3 * 2**20,
    )
    file = folder / "trips [1].csv"
    file.write_bytes(b"trips")
    files = (SourceFile("trips [1].csv", file, 5),)
    settings = load_settings()
    return Finished(
        flow="experiment_pipeline",
        spec=ExperimentSpec(data_source=("trips [1].csv",), adapter_type="sklearn"),
        settings=settings,
        source=TripSource(files=files, dialects=("yellow 2015",), kind="coordinates", n_rows=None, batches=no_batches),
        sha256s=fingerprint_files(files),
        points=points,
        clustering=clustering,
        counts=count_clusters(points, clustering),
        quality=None,
        performance=performance(points, clustering),
        overall_score=Metric(value=None, reason="quality was not asked for"),
        timings={"ingest": 0.1, "prepare": 0.2, "cluster": 0.6},
        environment=environment(settings, "run-1"),
        zones=None,
    )


def by_zone(finished: Finished) -> Finished:
    """The same from a source of zone ids."""
    return replace(finished, points=replace(finished.points, kind="zones"))
