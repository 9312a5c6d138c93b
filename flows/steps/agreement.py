"""How one adapter's cells agree with the first one's: labels, speed and memory. Needs neither data nor clusterings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from flows.model.metric import Metric
from flows.model.sweeps import Agreement, Cell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Piece = tuple["NDArray[np.integer]", "NDArray[np.integer]", "NDArray[np.integer]"]

MIN_UNIQUE_FOR_SPEED = 20_000
"""With fewer distinct points starting workers outweighs clustering; `sklearn_parallel` has one tile and starts none."""
TOO_FEW = "too few distinct points to compare speed"


@dataclass(frozen=True)
class Likeness:
    """Whether two cells' labels are the same element for element, and the adjusted Rand index over used points."""

    equal: bool
    adjusted_rand: float


SAME = Likeness(equal=True, adjusted_rand=1.0)


def agreement(first: Cell, other: Cell, likeness: Likeness | None, n_unique: int) -> Agreement:
    """A cell of another adapter against the first adapter's of the same setting.

    Args:
        likeness: of their labels; None where one of them failed.
        n_unique: distinct points that were clustered.
    """
    if likeness is None or first.performance is None or other.performance is None:
        failed = first.adapter if first.performance is None else other.adapter
        none = Metric(value=None, reason=f"the cell of {failed} failed")
        speed, memory, rand, equal = none, none, none, None
    else:
        one, two = first.performance, other.performance
        speed = speed_up(one.runtime_seconds, two.runtime_seconds, n_unique)
        memory = memory_ratio(one.peak_memory_bytes.value, two.peak_memory_bytes.value)
        rand, equal = Metric(value=likeness.adjusted_rand), likeness.equal
    return Agreement(
        adapter=other.adapter,
        reference=first.adapter,
        eps=other.eps,
        min_samples=other.min_samples,
        speed_up=speed,
        memory_ratio=memory,
        adjusted_rand=rand,
        equal=equal,
    )


def overall(cells: Sequence[Cell], by_cell: Sequence[Agreement], n_unique: int) -> tuple[Agreement, ...]:
    """Each adapter but the first over the cells where both succeeded.

    Speed-up is of the summed fit seconds, memory ratio of the highest peaks, the adjusted Rand index the lowest.
    """
    by_adapter = {name: tuple(group) for name, group in groupby(cells, key=lambda cell: cell.adapter)}
    first = next(iter(by_adapter))
    return tuple(
        _over_all(by_adapter[first], by_adapter[name], [one for one in by_cell if one.adapter == name], n_unique)
        for name in list(by_adapter)[1:]
    )


def _over_all(first: Sequence[Cell], other: Sequence[Cell], by_cell: Sequence[Agreement], n_unique: int) -> Agreement:
    pairs = [
        (one.performance, two.performance)
        for one, two in zip(first, other, strict=True)
        if one.performance is not None and two.performance is not None
    ]
    rands = [one.adjusted_rand.value for one in by_cell if one.adjusted_rand.value is not None]
    none = Metric(value=None, reason="no setting succeeded with both adapters")
    first_peaks = [one.peak_memory_bytes.value for one, _ in pairs if one.peak_memory_bytes.value is not None]
    other_peaks = [two.peak_memory_bytes.value for _, two in pairs if two.peak_memory_bytes.value is not None]
    return Agreement(
        adapter=other[0].adapter,
        reference=first[0].adapter,
        eps=None,
        min_samples=None,
        speed_up=speed_up(
            sum(one.runtime_seconds for one, _ in pairs), sum(two.runtime_seconds for _, two in pairs), n_unique
        )
        if pairs
        else none,
        memory_ratio=memory_ratio(max(first_peaks, default=None), max(other_peaks, default=None)) if pairs else none,
        adjusted_rand=Metric(value=min(rands)) if rands else none,
        equal=all(one.equal for one in by_cell if one.equal is not None) if rands else None,
    )


def speed_up(first_seconds: float, other_seconds: float, n_unique: int) -> Metric:
    """The first one's fit seconds over the other's."""
    if n_unique < MIN_UNIQUE_FOR_SPEED:
        return Metric(value=None, reason=TOO_FEW)
    if other_seconds <= 0:
        return Metric(value=None, reason="the fit was shorter than the clock can tell")
    return Metric(value=first_seconds / other_seconds)


def memory_ratio(first_bytes: float | None, other_bytes: float | None) -> Metric:
    """The other's peak over the first one's."""
    if not first_bytes or not other_bytes:
        return Metric(value=None, reason="a fit took too little memory to measure")
    return Metric(value=other_bytes / first_bytes)


def likeness(pieces: Iterable[Piece]) -> Likeness:
    """Compare two clusterings of the same unique points, piece by piece; noise is one group.

    The index is of Hubert and Arabie (1985), "Comparing Partitions", in whole numbers, as scikit-learn computes it.

    Args:
        pieces: labels of the one, labels of the other, and weights (trips), integers[m] each.
    """
    import numpy as np

    pairs: Counter[tuple[int, int]] = Counter()
    equal = True
    for one, two, weights in pieces:
        equal = equal and bool(np.array_equal(one, two))
        found, place = np.unique(np.stack([one, two]), axis=1, return_inverse=True)
        trips = np.zeros(found.shape[1], dtype=np.int64)
        np.add.at(trips, place.reshape(-1), weights)
        for left, right, n in zip(*found.tolist(), trips.tolist(), strict=True):
            pairs[left, right] += n
    return Likeness(equal, 1.0 if equal else _adjusted_rand(pairs))


def _adjusted_rand(pairs: Counter[tuple[int, int]]) -> float:
    lefts: Counter[int] = Counter()
    rights: Counter[int] = Counter()
    for (left, right), n in pairs.items():
        lefts[left] += n
        rights[right] += n
    total = sum(lefts.values())
    squares = sum(n * n for n in pairs.values())
    left_squares, right_squares = (sum(n * n for n in side.values()) for side in (lefts, rights))
    together, only_left, only_right = squares - total, left_squares - squares, right_squares - squares
    apart = total * total - together - only_left - only_right - total
    if only_left == 0 and only_right == 0:
        return 1.0
    return (
        2.0
        * (together * apart - only_left * only_right)
        / ((together + only_left) * (only_left + apart) + (together + only_right) * (only_right + apart))
    )
