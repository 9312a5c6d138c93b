"""How good a clustering is: silhouette, Davies-Bouldin and Calinski-Harabasz, all in trips.

Each equals scikit-learn's score of the expanded rows (one row per trip), computed from unique points and weights.
Where scikit-learn raises, or gives a stand-in for a number that does not exist, the metric is None with the reason:

- fewer than two clusters, or nothing but clusters of one trip: all three are undefined (scikit-learn raises);
- every trip at its cluster's centroid: Calinski-Harabasz divides by 0 (scikit-learn returns 1.0);
- the centroids of all clusters coincide: Davies-Bouldin has no pair to compare (scikit-learn returns 0.0, its best).

Where only some centroids coincide, Davies-Bouldin leaves those pairs out, as scikit-learn does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from flows.kernels.evaluation import cluster_moments, silhouette_rows, worst_similarities
from flows.kernels.threads import threads
from flows.model.metric import Metric
from flows.model.points import Points
from flows.model.records import Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

Labels = Sequence["NDArray[np.int64]"]


@dataclass(frozen=True, eq=False)
class Sample:
    """Used points drawn for the silhouette, collapsed like the points themselves.

    unique: int64[k], indices into Points.xy_m, ascending.
    multiplicities: int64[k], trips drawn at each, >= 1.
    """

    unique: NDArray[np.int64]
    multiplicities: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Trips drawn."""
        return int(self.multiplicities.sum())


@dataclass(frozen=True, eq=False)
class _Groups:
    """Clusters of the sample in one cell: compact number of each sampled point (-1: noise) and trips per number."""

    numbers: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Moments:
    """Trips, centroid (relative metres), mean distance (metres) and sum of squared distances (m^2) per cluster."""

    trips: NDArray[np.int64]
    centroids: NDArray[np.float64]
    spreads: NDArray[np.float64]
    squared: NDArray[np.float64]


def draw_sample(points: Points, size: int, seed: int) -> Sample:
    """Draw at most `size` used points, uniformly without replacement.

    The draw knows no setting of the clustering, so every setting is judged on the same trips.

    Raises:
        ValueError: size is below 1.
    """
    if size < 1:
        raise ValueError(f"the silhouette sample has size {size}: ask for 1 trip or more")
    if points.n_used <= size:
        return Sample(np.arange(points.n_unique), points.weights.astype(np.int64))
    drawn = np.random.default_rng(seed).choice(points.n_used, size, replace=False, shuffle=False)
    unique, multiplicities = np.unique(points.inverse[drawn], return_counts=True)
    return Sample(unique.astype(np.int64), multiplicities.astype(np.int64))


def evaluate(points: Points, sample: Sample, labels: NDArray[np.int64], n_jobs: int = 1) -> Quality:
    """Quality of one clustering; `evaluate_many` of one, so a sweep's cell and a single run give the same bits."""
    return evaluate_many(points, sample, [labels], n_jobs)[0]


def evaluate_many(points: Points, sample: Sample, labels_by_cell: Labels, n_jobs: int = 1) -> list[Quality]:
    """Quality of several clusterings of the same points.

    The silhouettes share the distances of the sample, which are streamed and never stored.

    Args:
        points: n_unique points.
        sample: from `draw_sample`.
        labels_by_cell: int64[n_unique] each, -1 for noise.
        n_jobs: threads; the numbers do not depend on it.

    Raises:
        ValueError: labels of another length, or below -1.
    """
    for labels in labels_by_cell:
        _check(points, labels)
    sampled = [labels[sample.unique] for labels in labels_by_cell]
    silhouettes = _silhouettes(points.xy_m[sample.unique], sample.multiplicities, sampled, n_jobs)
    with ThreadPoolExecutor(n_jobs) as pool:
        moments = list(pool.map(partial(_moments, points), labels_by_cell))
    return [
        Quality(
            silhouette=silhouette,
            davies_bouldin=_davies_bouldin(cell, n_jobs),
            calinski_harabasz=_calinski_harabasz(cell),
            silhouette_sample_size=sample.size,
            silhouette_sample_clustered=int(sample.multiplicities[labels >= 0].sum()),
        )
        for silhouette, cell, labels in zip(silhouettes, moments, sampled, strict=True)
    ]


def load_kernels(n_jobs: int = 1) -> None:
    """Load the compiled loops (or compile them on first use), so that `evaluate` measures evaluation alone."""
    xy_m = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0], [8.0, 0.0]])
    ones, labels = np.ones(4, dtype=np.int64), np.array([0, 0, 1, 1])
    _silhouettes(xy_m, ones, [labels], n_jobs)
    trips, centroids, spreads, squared = cluster_moments(xy_m, ones, labels, 2)
    _davies_bouldin(_Moments(trips, centroids, spreads, squared), n_jobs)


def _check(points: Points, labels: NDArray[np.int64]) -> None:
    if labels.shape != (points.n_unique,):
        raise ValueError(f"labels have shape {labels.shape}: pass one label per unique point, ({points.n_unique},)")
    if labels.size and labels.min() < -1:
        raise ValueError(f"the smallest label is {labels.min()}: clusters count from 0, noise is -1")


def _undefined(trips: NDArray[np.int64], whose: str) -> str | None:
    """Why no metric compares these clusters, or None: 2 <= clusters <= trips - 1, as scikit-learn asks."""
    if len(trips) < 2:
        return f"fewer than two clusters among {whose} trips ({len(trips)} found)"
    if len(trips) == trips.sum():
        return f"every cluster among {whose} trips is a single trip"
    return None


def _silhouettes(
    xy_m: NDArray[np.float64], multiplicities: NDArray[np.int64], labels_by_cell: Labels, n_jobs: int
) -> list[Metric]:
    """Mean silhouette of the clustered trips of the sample, per cell."""
    groups = [_groups(labels, multiplicities) for labels in labels_by_cell]
    reasons = [_undefined(cell.sizes, "the sampled") for cell in groups]
    defined = [cell for cell, reason in zip(groups, reasons, strict=True) if reason is None]
    means = iter(_mean_silhouettes(xy_m, multiplicities, defined, n_jobs) if defined else [])
    return [Metric(value=next(means)) if reason is None else Metric(value=None, reason=reason) for reason in reasons]


def _groups(labels: NDArray[np.int64], multiplicities: NDArray[np.int64]) -> _Groups:
    numbers = np.full(len(labels), -1, dtype=np.int64)
    clustered = labels >= 0
    present, numbers[clustered] = np.unique(labels[clustered], return_inverse=True)
    sizes = np.zeros(len(present), dtype=np.int64)
    np.add.at(sizes, numbers[clustered], multiplicities[clustered])
    return _Groups(numbers, sizes)


def _mean_silhouettes(
    xy_m: NDArray[np.float64], multiplicities: NDArray[np.int64], cells: Sequence[_Groups], n_jobs: int
) -> list[float]:
    numbers = np.column_stack([cell.numbers for cell in cells])
    # Points that are noise everywhere only cost time. The order of the others is kept, so no sum changes.
    used = (numbers >= 0).any(axis=1)
    numbers, trips = numbers[used], multiplicities[used]
    n_slots = [len(cell.sizes) + 1 for cell in cells]
    first_slot = np.concatenate([[0], np.cumsum(n_slots)]).astype(np.int64)
    slots = np.where(numbers >= 0, numbers + first_slot[:-1], first_slot[1:] - 1)
    sizes = np.concatenate([np.append(cell.sizes, 0) for cell in cells])
    with threads(n_jobs) as n_threads:
        rows = silhouette_rows(
            xy_m[used],
            trips.astype(np.float64),
            np.ascontiguousarray(slots, dtype=np.uint32),
            first_slot,
            sizes.astype(np.float64),
            n_threads,
        )
    clustered = numbers >= 0
    return [
        float((row[mine] * trips[mine]).sum() / trips[mine].sum()) for row, mine in zip(rows, clustered.T, strict=True)
    ]


def _moments(points: Points, labels: NDArray[np.int64]) -> _Moments:
    n_clusters = int(labels.max(initial=-1)) + 1
    trips, centroids, spreads, squared = cluster_moments(points.xy_m, points.weights, labels, n_clusters)
    kept = trips > 0
    return _Moments(trips[kept], centroids[kept], spreads[kept], squared[kept])


def _davies_bouldin(cell: _Moments, n_jobs: int) -> Metric:
    """Mean over clusters of the similarity to the most similar one; 0 is best. Own memory: O(clusters)."""
    reason = _undefined(cell.trips, "the clustered")
    if reason is not None:
        return Metric(value=None, reason=reason)
    block_size = max(16, math.isqrt(len(cell.trips)))
    order = _neighbours_together(cell.centroids, block_size)
    with threads(n_jobs) as n_threads:
        worst = worst_similarities(cell.centroids[order], cell.spreads[order], block_size, n_threads)
    if not worst.any() and cell.spreads.any():
        return Metric(value=None, reason="the centroids of all clusters coincide")
    return Metric(value=float(worst.mean()))


def _neighbours_together(xy_m: NDArray[np.float64], block_size: int) -> NDArray[np.int64]:
    """Order in which runs of block_size points are compact on the ground.

    Vertical strips, each sorted by y: Sort-Tile-Recursive packing (Leutenegger et al. 1997,
    doi:10.1109/ICDE.1997.582015).
    """
    n_blocks = -(-len(xy_m) // block_size)
    points_per_strip = math.ceil(math.sqrt(n_blocks)) * block_size
    strip = np.empty(len(xy_m), dtype=np.int64)
    strip[np.argsort(xy_m[:, 0], kind="stable")] = np.arange(len(xy_m)) // points_per_strip
    return np.lexsort((xy_m[:, 1], strip))


def _calinski_harabasz(cell: _Moments) -> Metric:
    """Dispersion between clusters over that within, each by its degrees of freedom; larger is better.

    Source: Calinski and Harabasz 1974, doi:10.1080/03610927408827101.
    """
    reason = _undefined(cell.trips, "the clustered")
    if reason is not None:
        return Metric(value=None, reason=reason)
    n_trips, n_clusters, within = int(cell.trips.sum()), len(cell.trips), float(cell.squared.sum())
    if within == 0:
        return Metric(value=None, reason="every clustered trip lies at its cluster's centroid: nothing to divide by")
    # No matrix product: the bits of BLAS depend on its threads.
    mean = (cell.trips[:, None] * cell.centroids).sum(axis=0) / n_trips
    between = float((cell.trips * ((cell.centroids - mean) ** 2).sum(axis=1)).sum())
    return Metric(value=between * (n_trips - n_clusters) / (within * (n_clusters - 1)))
