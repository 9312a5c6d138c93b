"""What a flow run has come to, for programs that follow it: one row in a table artifact, anew as it goes on."""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict

from flows.core.frozen import Frozen
from flows.model.records import ExperimentRecord
from flows.model.sweeps import Cell

KEY = "outcome"
"""How the artifact's key ends, as in `evaluation-pipeline-outcome`."""


class Outcome(Frozen):
    """Of an experiment what came out; of a sweep how far it is, and the best cell so far."""

    # While a release changes, runs of another version tell the operator theirs.
    model_config = ConfigDict(extra="ignore")

    record_key: str | None = None
    clusters: int | None = None
    noise_ratio: float | None = None
    score: float | None = None
    cells: int | None = None
    cells_done: int | None = None
    cells_failed: int | None = None
    best_eps: float | None = None
    best_min_samples: int | None = None

    @classmethod
    def of_experiment(cls, record: ExperimentRecord) -> Self:
        """Of one experiment."""
        return cls(
            record_key=record.key,
            clusters=record.clustering.n_clusters,
            noise_ratio=record.clustering.noise_ratio.value,
            score=record.overall_score.value,
        )

    @classmethod
    def of_cells(
        cls, n_cells: int, finished: int, failed: int, best: Cell | None, record_key: str | None = None
    ) -> Self:
        """Of a sweep: cells in all, finished (failed ones included) and failed; what came out is that of the best."""
        counts = cls(record_key=record_key, cells=n_cells, cells_done=finished - failed, cells_failed=failed)
        if best is None or best.clustering is None:
            return counts
        return counts.model_copy(
            update={
                "clusters": best.clustering.n_clusters,
                "noise_ratio": best.clustering.noise_ratio.value,
                "score": best.overall_score.value,
                "best_eps": best.eps,
                "best_min_samples": best.min_samples,
            }
        )
