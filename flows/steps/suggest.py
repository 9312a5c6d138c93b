"""Suggest: eps values from how close trips lie, before anything is clustered.

The k-distance of a trip is the distance to its k-th nearest trip, its own counted, so with eps at that distance it is a
core point for min_samples = k. Sorted, the distances rise slowly through the dense places and steeply where noise
begins; the bend between is a choice of eps (Ester, Kriegel, Sander and Xu 1996, section 4.2).

In a city the bend often comes too late: where most trips begin within a few square kilometres, those join into one
cluster at an eps far below it. So the largest eps without such a cluster is sought, and bounds what is suggested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from flows.adapters.registry import get_adapter
from flows.core.errors import ParameterError
from flows.model.points import Points
from flows.model.sweeps import AUTO_FACTORS, KDistances
from flows.steps.evaluate import Sample, draw_sample

SAMPLE_SIZE = 20_000
MAX_CURVE_POINTS = 500
EPS_STEP_M = 10
LIMIT_FACTOR = 1.5
"""Four of the five values lie at or below the largest eps without one blob, the largest a third above it."""

_NEIGHBOURS_PER_QUERY = 2_000_000
"""Neighbours held at once: 32 MB of distances and indices."""


def suggest(points: Points, min_samples_values: Sequence[int], seed: int, n_jobs: int) -> KDistances:
    """The k-distance curve of the points, its knee, and the eps values that follow, to whole 10 m.

    They are 0.5 to 2 times the knee; where one cluster would hold more than half of the trips at the knee, 0.5 to 2
    times two thirds of the largest eps at which none does.

    Args:
        min_samples_values: the smallest of them is k.
        seed: draws the 20,000 used points whose distances to all points are taken.
        n_jobs: threads; the numbers do not depend on it.

    Raises:
        ParameterError: the points suggest nothing: fewer than k of them, more than half of the distances are 0, a
            knee below 10 m, or one cluster of more than half of the trips at 10 m already.
    """
    k = min(min_samples_values)
    if points.n_used < k:
        raise ParameterError(
            f"eps can't be suggested: {points.n_used} points are fewer than min_samples {k}, so none can be a core "
            "point. Use a smaller min_samples."
        )
    distances_m = k_distances(points, draw_sample(points, SAMPLE_SIZE, seed), k, n_jobs)
    _refuse_zeros(points, distances_m, k)
    knee_m = knee(distances_m)
    limit_m = one_blob_limit(points, knee_m, k, n_jobs)
    return KDistances(
        k=k,
        seed=seed,
        sample_size=len(distances_m),
        distances_m=tuple(_thinned(distances_m).tolist()),
        knee_m=knee_m,
        limit_m=limit_m,
        eps_values=eps_around(knee_m if limit_m is None else limit_m / LIMIT_FACTOR),
    )


def one_blob_limit(points: Points, knee_m: float, min_samples: int, n_jobs: int) -> float | None:
    """The largest eps, whole 10 m, at which no cluster holds more than half of the used points; None from the knee on.

    By bisection: with the same min_samples a larger eps has all core points of the smaller one, joined at least as far.

    Raises:
        ParameterError: there is none.
    """
    if not _is_one_blob(points, knee_m, min_samples, n_jobs):
        return None
    low, high = 0, math.ceil(knee_m / EPS_STEP_M)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_one_blob(points, middle * EPS_STEP_M, min_samples, n_jobs) else (middle, high)
    if low == 0:
        raise ParameterError(
            f"eps can't be suggested: even at {EPS_STEP_M} m one cluster holds more than half of the trips "
            f"(min_samples {min_samples}). Give eps_values, or a larger min_samples."
        )
    return float(low * EPS_STEP_M)


def _is_one_blob(points: Points, eps_m: float, min_samples: int, n_jobs: int) -> bool:
    adapter = get_adapter("grid")
    adapter.load()
    labels = adapter.fit(points.xy_m, points.weights, eps_m, min_samples, n_jobs).labels
    trips = np.bincount(labels + 1, weights=points.weights, minlength=1)
    return bool(2 * trips[1:].max(initial=0) > points.n_used)


def k_distances(points: Points, sample: Sample, k: int, n_jobs: int = 1) -> NDArray[np.float64]:
    """Distance of each sampled trip to its k-th nearest trip of all, its own counted.

    Args:
        points: at least k used ones.
        k: trips, 1 or more.

    Returns:
        float64[sample.size], metres, ascending.
    """
    # Every neighbour weighs one trip or more, so k unique ones are enough. Points are distinct, so the tree need not be
    # balanced: building it takes longer than asking it.
    tree = KDTree(points.xy_m, leafsize=32, compact_nodes=False, balanced_tree=False)
    n_neighbours = min(k, points.n_unique)
    n_batches = math.ceil(len(sample.unique) * n_neighbours / _NEIGHBOURS_PER_QUERY)
    found = []
    for batch in np.array_split(sample.unique, n_batches):
        distances, neighbours = tree.query(points.xy_m[batch], k=np.arange(1, n_neighbours + 1), workers=n_jobs)
        reached = points.weights[neighbours].cumsum(axis=1) >= k
        found.append(distances[np.arange(len(batch)), reached.argmax(axis=1)])
    return np.sort(np.repeat(np.concatenate(found), sample.multiplicities))


def knee(distances_m: NDArray[np.float64]) -> float:
    """The distance where the ascending curve bends most, metres.

    Kneedle's difference curve (Satopaa, Albrecht, Irwin and Raghavan 2011, "Finding a 'Kneedle' in a Haystack", section
    III, steps 2 and 3): both axes are brought to [0, 1], and the knee is where the curve lies farthest below the
    diagonal. Its greatest value is taken, not the first local one (steps 4 to 6): among the few far points at the
    steep end nearly every point is a local one.
    """
    rise_m = distances_m[-1] - distances_m[0]
    if rise_m == 0:
        return float(distances_m[0])
    ranks = np.linspace(0, 1, len(distances_m))
    return float(distances_m[np.argmax(ranks - (distances_m - distances_m[0]) / rise_m)])


def eps_around(middle_m: float) -> tuple[float, ...]:
    """Distinct eps values, km: 0.5 to 2 times the middle, rounded to 10 m (halves up), those of 0 left out.

    Raises:
        ParameterError: none is left.
    """
    steps = (math.floor(middle_m * factor / EPS_STEP_M + 0.5) for factor in AUTO_FACTORS)
    eps_values = tuple(step * EPS_STEP_M / 1000 for step in dict.fromkeys(steps) if step > 0)
    if not eps_values:
        raise ParameterError(
            f"eps can't be suggested: the knee of the k-distance curve is at {middle_m:.3g} m, and suggestions are "
            f"whole {EPS_STEP_M} m. Give eps_values, or a larger min_samples."
        )
    return eps_values


def _refuse_zeros(points: Points, distances_m: NDArray[np.float64], k: int) -> None:
    zero_share = np.count_nonzero(distances_m == 0) / len(distances_m)
    if zero_share > 0.5:
        why = (
            "the source has zone ids, and all trips of a zone lie at its centroid"
            if points.kind == "zones"
            else f"so many trips share their exact place with {k - 1} others"
            if k > 1
            else "with min_samples 1 each trip is its own nearest"
        )
        raise ParameterError(
            f"eps can't be suggested: {zero_share:.0%} of the distances to the k-th trip (k = {k}, the smallest "
            f"min_samples) are 0, as {why}. Give eps_values, or a larger min_samples."
        )


def _thinned(distances_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most 500 points of the curve, evenly spaced in rank, both ends included."""
    n_kept = min(len(distances_m), MAX_CURVE_POINTS)
    return distances_m[np.linspace(0, len(distances_m) - 1, n_kept).round().astype(np.int64)]
