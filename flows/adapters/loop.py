"""The default way to cluster with many settings: one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from flows.adapters.protocol import Adapter, CellFit, Setting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def fit_each(
    adapter: Adapter,
    points_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    eps_values_m: Sequence[float],
    min_samples_values: Sequence[int],
    n_jobs: int,
) -> list[CellFit]:
    """`Adapter.fit_many` by calling `fit` for each cell, eps outermost; arguments and errors are those of `fit`."""
    cells = []
    for setting in (Setting(eps_m, min_samples) for eps_m in eps_values_m for min_samples in min_samples_values):
        start = perf_counter()
        fit = adapter.fit(points_m, weights, setting.eps_m, setting.min_samples, n_jobs)
        cells.append(CellFit(setting, fit, perf_counter() - start))
    return cells
