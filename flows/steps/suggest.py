"""Suggest: eps values from how close trips lie, before anything is clustered.

The k-distance of a trip is the distance to its k-th nearest trip, its own counted, so with eps at that distance it is a
core point for min_samples = k. Sorted, the distances rise slowly through the dense places and steeply where noise
begins; the bend between is a choice of eps (Ester, Kriegel, Sander and Xu 1996, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from flows.errors import ParameterError
from flows.model import Points
from flows.steps.evaluate import Sample, draw_sample
from flows.sweep_model import AUTO_FACTORS, KDistances

SAMPLE_SIZE = 20_000
MAX_CURVE_POINTS = 500
EPS_STEP_M = 10
_NEIGHBOURS_PER_QUERY = 2_000_000
"""Neighbours held at once: 32 MB of distances and indices."""


def suggest(points: Points, min_samples_values: Sequence[int], seed: int, n_jobs: int) -> KDistances:
    """The k-distance curve of the points, its knee, and the eps values that follow: 0.5 to 2 knees, to whole 10 m.

    Args:
        min_samples_values: the smallest of them is k.
        seed: draws the 20,000 used points whose distances to all points are taken.
        n_jobs: threads; the numbers do not depend on it.

    Raises:
        ParameterError: the points suggest nothing: fewer than k of them, more than half of the distances are 0, or a
            knee below 10 m.
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
    return KDistances(
        k=k,
        seed=seed,
        sample_size=len(distances_m),
        distances_m=tuple(_thinned(distances_m).tolist()),
        knee_m=knee_m,
        eps_values=eps_around(knee_m),
    )


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


def eps_around(knee_m: float) -> tuple[float, ...]:
    """Distinct eps values, km: the knee's multiples, rounded to 10 m (halves up), those of 0 left out.

    Raises:
        ParameterError: none is left.
    """
    steps = (math.floor(knee_m * factor / EPS_STEP_M + 0.5) for factor in AUTO_FACTORS)
    eps_values = tuple(step * EPS_STEP_M / 1000 for step in dict.fromkeys(steps) if step > 0)
    if not eps_values:
        raise ParameterError(
            f"eps can't be suggested: the knee of the k-distance curve is at {knee_m:.3g} m, and suggestions are "
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
