"""How far a sweep is: a line of the log for each cell, and two artifacts: its progress, and its outcome so far."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.model.outcome import Outcome
from flows.model.ranking import best
from flows.model.sweeps import Cell
from flows.report.artifacts import key
from flows.runtime.publish import publish_outcome, update_outcome

_UPDATE_SECONDS = 5.0
"""At most one update of the artifact in so many seconds: a grid may have thousands of quick cells."""


class SweepProgress:
    """Counts cells as they finish.

    Args:
        flow: name of the flow, for the artifact.
        n_cells: cells of the grid.
        metric: what "best" means.
        done: cells that are done already, by place.
    """

    def __init__(self, flow: str, n_cells: int, metric: str, done: Mapping[int, Cell]) -> None:
        self.cells, self._n_cells, self._metric = dict(done), n_cells, metric
        place, _ = best(tuple(done.values()), metric) if done else (None, "")
        self._best = None if place is None else tuple(done.values())[place]
        # Without a running event loop, as in our flows, it gives the id itself.
        self._artifact = cast(
            UUID,
            create_progress_artifact(self._percent(), key=key(flow, "progress"), description=self.summary()),
        )
        self._outcome = publish_outcome(flow, self.outcome())
        self._updated = time.monotonic()

    def outcome(self) -> Outcome:
        """The same in numbers."""
        return Outcome.of_cells(self._n_cells, len(self.cells), self._n_failed(), self._best)

    def add(self, place: int, cell: Cell) -> None:
        """One more cell is finished, or was done once more."""
        self.cells[place] = cell
        rivals = (cell,) if self._best is None else (self._best, cell)
        winner, _ = best(rivals, self._metric)
        self._best = None if winner is None else rivals[winner]
        print(f"{len(self.cells)} of {self._n_cells} cells: {cell_line(cell)} ({self.summary()})")  # noqa: T201
        if len(self.cells) == self._n_cells or time.monotonic() - self._updated > _UPDATE_SECONDS:
            update_progress_artifact(self._artifact, progress=self._percent(), description=self.summary())
            update_outcome(self._outcome, self.outcome())
            self._updated = time.monotonic()

    def summary(self) -> str:
        """Cells done, failed and left, and the best so far."""
        n_failed = self._n_failed()
        n_left = self._n_cells - len(self.cells)
        leader = "none" if self._best is None else f"{self._best.adapter}, {_setting(self._best)}"
        counts = f"{len(self.cells) - n_failed} done, {n_failed} failed, {n_left} left"
        return f"{counts}; best {self._metric} so far: {leader}"

    def _n_failed(self) -> int:
        return sum(cell.status == "failed" for cell in self.cells.values())

    def _percent(self) -> float:
        return 100.0 * len(self.cells) / self._n_cells


def cell_line(cell: Cell) -> str:
    """What came out of a cell, in one line."""
    setting = f"{cell.adapter}, {_setting(cell)}"
    if cell.clustering is None:
        return f"{setting}: failed: {cell.reason}"
    value = cell.overall_score.value
    return f"{setting}: {cell.clustering.n_clusters:,} clusters, score " + (
        "undefined" if value is None else f"{value:.4f}"
    )


def _setting(cell: Cell) -> str:
    return f"eps {cell.eps:g} km, min_samples {cell.min_samples}"
