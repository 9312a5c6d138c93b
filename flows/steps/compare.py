"""Compare: the same settings through several adapters, each in a fresh process, and whether their labels agree."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from flows.core.settings import Settings
from flows.model.points import Clustering, Points
from flows.model.records import Quality
from flows.model.spec import ExperimentSpec
from flows.steps.agreement import SAME, Likeness, likeness
from flows.steps.compare_process import AdapterProcess, share
from flows.steps.evaluate import Sample, evaluate
from flows.steps.score import score
from flows.steps.sweep import Outcome


def measure(
    points: Points, sample: Sample, specs: Sequence[ExperimentSpec], settings: Settings, n_jobs: int
) -> Iterator[Outcome]:
    """Cluster with each setting and judge it, in the order given. Nothing else runs while a fit is measured.

    An adapter's process does all its cells; where it dies, that cell fails and a new one does the next.

    Args:
        specs: adapter by adapter.
    """
    judge = _Judge(points, sample, settings, n_jobs)
    with TemporaryDirectory(prefix="taxi-compare-") as folder:
        share(points, Path(folder))
        for _, group in groupby(specs, key=lambda spec: spec.adapter_type):
            with AdapterProcess(Path(folder)) as process:
                for spec in group:
                    yield judge.judged(spec, process.fit(spec, n_jobs))


def compare(
    points: Points, sample: Sample, specs: Sequence[ExperimentSpec], settings: Settings, n_jobs: int
) -> Iterator[tuple[Outcome, Likeness | None]]:
    """Do what `measure` does, and set each cell's labels against the first adapter's.

    Args:
        specs: adapter by adapter, each with the same settings in the same order.

    Yields:
        Each cell in the order of specs, and how its labels agree with the first adapter's; None for the first adapter
        and where one of the two failed.
    """
    n_settings = sum(spec.adapter_type == specs[0].adapter_type for spec in specs)
    with TemporaryDirectory(prefix="taxi-labels-") as folder:
        files = [Path(folder) / f"{index}.npy" for index in range(n_settings)]
        for place, outcome in enumerate(measure(points, sample, specs, settings, n_jobs)):
            found, first = outcome.clustering, files[place % n_settings]
            if place < n_settings:
                if found is not None:
                    np.save(first, found.labels)
                yield outcome, None
            elif found is None or not first.exists():
                yield outcome, None
            else:
                expected = np.load(first)
                same = bool(np.array_equal(expected, found.labels))
                yield outcome, SAME if same else likeness([(expected, found.labels, points.weights)])


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
