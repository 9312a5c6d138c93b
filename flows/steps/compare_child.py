"""One adapter in a process of its own: `python -m flows.steps.compare_child FOLDER`.

Each line of standard input is an `Ask`; the answer is a line of standard output, and labels.npy and core.npy in the
folder, whose xy_m.npy and weights.npy hold the points. It ends where its input ends, so also where its parent dies.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import numpy as np

from flows.core.errors import TaxiFlowsError
from flows.core.frozen import Frozen
from flows.core.settings import Settings, load_settings
from flows.model.spec import ExperimentSpec
from flows.steps.cluster import cluster_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Number = TypeVar("_Number", np.float64, np.int64)


class Ask(Frozen):
    """A fit that is wanted."""

    spec: ExperimentSpec
    n_jobs: int


class Answer(Frozen):
    """What the fit cost, as in `flows.model.records.Clustering`; with a fault there was none."""

    fault: str | None = None
    n_jobs: int = 1
    fit_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None


def main(folder: Path) -> None:
    """Answer until there is nothing more to answer."""
    settings = load_settings()
    xy_m, weights = _open(folder / "xy_m.npy", np.float64), _open(folder / "weights.npy", np.int64)
    with _own_output() as answers:
        for line in sys.stdin:
            answer = _answer(Ask.model_validate_json(line), xy_m, weights, settings, folder)
            answers.write(f"{answer.model_dump_json()}\n")
            answers.flush()


def _own_output() -> TextIO:
    """Standard output for the answers alone: what libraries print goes to standard error.

    Workers of the adapter don't inherit it, so it ends with this process, whatever they do.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _open(path: Path, kind: type[_Number]) -> NDArray[_Number]:
    """A mapped file as the plain writable array that compiled kernels know; what is written stays in this process.

    It is read through, so that no fit is charged for bringing it in.
    """
    array = np.asarray(np.load(path, mmap_mode="c"), dtype=kind)
    array.sum()
    return array


def _answer(
    ask: Ask, xy_m: NDArray[np.float64], weights: NDArray[np.int64], settings: Settings, folder: Path
) -> Answer:
    try:
        found = cluster_places(xy_m, weights, ask.spec, settings, ask.n_jobs)
    except (TaxiFlowsError, MemoryError) as fault:
        return Answer(fault=str(fault) or type(fault).__name__)
    np.save(folder / "labels.npy", found.labels)
    np.save(folder / "core.npy", found.core)
    return Answer(
        n_jobs=found.n_jobs,
        fit_seconds=found.fit_seconds,
        cpu_seconds=found.cpu_seconds,
        peak_memory_bytes=found.peak_memory_bytes,
    )
