"""Compare: the same settings through several adapters, each in a fresh process, and whether their labels agree."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from flows.model import Clustering, ExperimentSpec, Metric, Points, Quality
from flows.settings import Settings
from flows.steps.compare_process import AdapterProcess, share
from flows.steps.evaluate import Sample, evaluate
from flows.steps.score import score
from flows.steps.sweep import Outcome
from flows.sweep_model import Agreement, Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_UNIQUE_FOR_SPEED = 20_000
"""With fewer distinct points starting workers outweighs clustering; `sklearn_parallel` has one tile and starts none."""
TOO_FEW = "too few distinct points to compare speed"


def compare(
    points: Points, sample: Sample, specs: Sequence[ExperimentSpec], settings: Settings, n_jobs: int
) -> Iterator[tuple[Outcome, Agreement | None]]:
    """Cluster with each setting and judge it. Nothing else runs while a fit is measured.

    An adapter's process does all its cells; where it dies, that cell fails and a new one does the next.

    Args:
        specs: adapter by adapter, each with the same settings in the same order.

    Yields:
        Each cell in the order of specs, and how it agrees with the first adapter's, whose own has None.
    """
    judge = _Judge(points, sample, settings, n_jobs)
    with TemporaryDirectory(prefix="taxi-compare-") as name:
        folder = Path(name)
        share(points, folder)
        references: list[_Reference] = []
        for place, (adapter, group) in enumerate(groupby(specs, key=lambda spec: spec.adapter_type)):
            with AdapterProcess(folder) as process:
                for index, spec in enumerate(group):
                    outcome = judge.judged(spec, process.fit(spec, n_jobs))
                    if place == 0:
                        references.append(_Reference.keep(outcome, folder / f"labels-{adapter}-{index}.npy"))
                        yield outcome, None
                    else:
                        yield outcome, _agreement(points, references[index], outcome)


@dataclass(frozen=True)
class _Judge:
    """Judges each distinct clustering once: equal labels have equal quality."""

    points: Points
    sample: Sample
    settings: Settings
    n_jobs: int
    known: dict[bytes, Quality] = field(default_factory=dict)

    def judged(self, spec: ExperimentSpec, found: Clustering | str) -> Outcome:
        if isinstance(found, str):
            return Outcome(spec, None, None, found)
        started = time.perf_counter()
        digest = hashlib.blake2b(np.ascontiguousarray(found.labels).data).digest()
        if digest not in self.known:
            self.known[digest] = evaluate(self.points, self.sample, found.labels, self.n_jobs)
        seconds = time.perf_counter() - started
        return Outcome(spec, found, score(self.points, found, self.known[digest], self.settings.score, seconds))


@dataclass(frozen=True)
class _Reference:
    """A cell of the first adapter; labels lie on disk, None where it failed."""

    adapter: str
    labels: Path | None
    seconds: float
    peak_bytes: int | None

    @classmethod
    def keep(cls, outcome: Outcome, path: Path) -> _Reference:
        found = outcome.clustering
        if found is None:
            return cls(outcome.spec.adapter_type, None, 0.0, None)
        np.save(path, found.labels)
        return cls(outcome.spec.adapter_type, path, found.fit_seconds, found.peak_memory_bytes)


def _agreement(points: Points, first: _Reference, outcome: Outcome) -> Agreement:
    spec, found = outcome.spec, outcome.clustering
    if first.labels is None or found is None:
        failed = first.adapter if first.labels is None else spec.adapter_type
        speed_up = memory_ratio = adjusted_rand = Metric(value=None, reason=f"the cell of {failed} failed")
        equal = None
    else:
        speed_up = _speed_up(first.seconds, found.fit_seconds, points.n_unique)
        memory_ratio = _memory_ratio(first.peak_bytes, found.peak_memory_bytes)
        expected = np.load(first.labels)
        equal = bool(np.array_equal(expected, found.labels))
        adjusted_rand = Metric(value=1.0 if equal else _adjusted_rand(points, expected, found.labels))
    return Agreement(
        adapter=spec.adapter_type,
        reference=first.adapter,
        eps=spec.eps,
        min_samples=spec.min_samples,
        speed_up=speed_up,
        memory_ratio=memory_ratio,
        adjusted_rand=adjusted_rand,
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
        speed_up=_speed_up(
            sum(one.runtime_seconds for one, _ in pairs), sum(two.runtime_seconds for _, two in pairs), n_unique
        )
        if pairs
        else none,
        memory_ratio=_memory_ratio(max(first_peaks, default=None), max(other_peaks, default=None)) if pairs else none,
        adjusted_rand=Metric(value=min(rands)) if rands else none,
        equal=all(one.equal for one in by_cell if one.equal is not None) if rands else None,
    )


def _speed_up(first_seconds: float, other_seconds: float, n_unique: int) -> Metric:
    if n_unique < MIN_UNIQUE_FOR_SPEED:
        return Metric(value=None, reason=TOO_FEW)
    if other_seconds <= 0:
        return Metric(value=None, reason="the fit was shorter than the clock can tell")
    return Metric(value=first_seconds / other_seconds)


def _memory_ratio(first_bytes: float | None, other_bytes: float | None) -> Metric:
    if not first_bytes or other_bytes is None:
        return Metric(value=None, reason="a fit took no memory that could be measured")
    return Metric(value=other_bytes / first_bytes)


def _adjusted_rand(points: Points, expected: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Over used points, noise as one group (Hubert and Arabie 1985, "Comparing Partitions")."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(expected[points.inverse], labels[points.inverse]))
