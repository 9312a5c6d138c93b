"""Twelve settings at once against one after the other, clustered and judged, in one process.

    python -m benchmarks.sweeping [--points 1000000] [--rounds 3]

Ours: `grid.fit_many` (4 eps x 3 min_samples) and `evaluate_many` on one seeded sample. Theirs: for each cell `grid.fit`
and scikit-learn's three metrics, silhouette on the same sample. Loading and preparing count for neither; the least of
the rounds counts. benchmarks/results/sweeping.md gets the table.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from benchmarks import points as sets
from flows.adapters.registry import get_adapter
from flows.core.limits import usable_cpus
from flows.model.points import DROP_REASONS, Points
from flows.steps.evaluate import Sample, draw_sample, evaluate_many

RESULT = Path(__file__).parent / "results" / "sweeping.md"
_HEAD = """\
# A sweep of twelve settings

Clustering and scoring 4 eps x 3 min_samples of one set of city points: seconds, one setting after the other beside all
at once.
"""
EPS_VALUES_M = (50.0, 75.0, 100.0, 150.0)
MIN_SAMPLES_VALUES = (10, 20, 50)
CPUS = usable_cpus()


def as_points(xy_m: NDArray[np.float64]) -> Points:
    """Distinct points, one trip at each."""
    n = len(xy_m)
    return Points(
        xy_m=xy_m,
        weights=np.ones(n, np.int64),
        inverse=np.arange(n, dtype=np.int32),
        kept=np.ones(n, np.bool_),
        coordinate_type="pickup",
        kind="coordinates",
        n_rows=n,
        dropped=dict.fromkeys(DROP_REASONS, 0),
        rows_per_file=(n,),
        ingest_seconds=0.0,
        prepare_seconds=0.0,
    )


def all_at_once(points: Points, sample: Sample) -> list[float | None]:
    """Silhouettes of the twelve cells, by fit_many and evaluate_many."""
    grid = get_adapter("grid")
    cells = grid.fit_many(points.xy_m, points.weights, EPS_VALUES_M, MIN_SAMPLES_VALUES, CPUS)
    qualities = evaluate_many(points, sample, [cell.fit.labels for cell in cells], CPUS)
    return [quality.silhouette.value for quality in qualities]


def one_by_one(points: Points, sample: Sample) -> list[float | None]:
    """Silhouettes of the twelve cells, by fit and scikit-learn's metrics."""
    grid, centred_m = get_adapter("grid"), points.xy_m - points.xy_m.mean(axis=0)
    found: list[float | None] = []
    for eps_m in EPS_VALUES_M:
        for min_samples in MIN_SAMPLES_VALUES:
            labels = grid.fit(points.xy_m, points.weights, eps_m, min_samples, CPUS).labels
            clustered, sampled = labels >= 0, labels[sample.unique]
            used = sampled >= 0
            found.append(float(silhouette_score(centred_m[sample.unique][used], sampled[used])))
            davies_bouldin_score(centred_m[clustered], labels[clustered])
            calinski_harabasz_score(centred_m[clustered], labels[clustered])
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    points = as_points(np.unique(sets.city(options.points), axis=0))
    sample = draw_sample(points, 10_000, seed=0)
    few = as_points(np.unique(sets.city(50_000), axis=0))
    sides = {"all at once": all_at_once, "one by one": one_by_one}
    for side in sides.values():
        side(few, draw_sample(few, 10_000, seed=0))
    seconds = dict.fromkeys(sides, float("inf"))
    found: dict[str, list[float | None]] = {}
    for _ in range(options.rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            found[name] = side(points, sample)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    np.testing.assert_allclose(np.array(found["all at once"], float), np.array(found["one by one"], float), rtol=1e-6)
    ratio = seconds["all at once"] / seconds["one by one"]
    lines = [
        _HEAD,
        "| 12 cells, distinct points | `grid.fit` + scikit-learn, 12 times | `fit_many` + `evaluate_many` | ratio |",
        "|---|--:|--:|--:|",
        f"| {points.n_unique:,} | {seconds['one by one']:.2f} s | {seconds['all at once']:.2f} s | **{ratio:.2f}** |",
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
