"""Arrays of other kinds than `fit` asks for are clustered right or refused in words, by every adapter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.adapters.registry import adapter_names, get_adapter
from flows.core.errors import ParameterError

POINTS = np.round(np.random.default_rng(0).normal(0, 100, (300, 2)) * 1024) / 1024
WEIGHTS = np.random.default_rng(1).integers(1, 4, 300)


def read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def every_other(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.repeat(array, 2, axis=0)[::2]


@pytest.mark.parametrize("name", adapter_names())
@pytest.mark.parametrize("kind", [read_only, every_other, np.asfortranarray, lambda array: array[::-1][::-1]])
def test_read_only_and_strided_arrays_are_clustered(name: str, kind) -> None:  # type: ignore[no-untyped-def]
    adapter = get_adapter(name)
    usual = adapter.fit(POINTS, WEIGHTS, 12.5, 8, 2)
    found = adapter.fit(kind(POINTS), kind(WEIGHTS), 12.5, 8, 2)
    assert usual.labels.max() > 0
    assert (found.labels == usual.labels).all()
    assert (found.core == usual.core).all()


@pytest.mark.parametrize("name", adapter_names())
def test_no_points_have_no_labels(name: str) -> None:
    fit = get_adapter(name).fit(np.empty((0, 2)), np.empty(0, np.int64), 12.5, 8, 2)
    assert (fit.labels.tolist(), fit.core.tolist()) == ([], [])


@pytest.mark.parametrize("name", adapter_names())
@pytest.mark.parametrize(
    ("points", "weights", "named"),
    [
        (POINTS.astype(np.float32), WEIGHTS, "points_m is an array of float32"),
        (POINTS.astype(np.int64), WEIGHTS, "points_m is an array of int64"),
        (POINTS.tolist(), WEIGHTS, "points_m is a list"),
        (POINTS.astype(object), WEIGHTS, "points_m is an array of object"),
        (POINTS[:, 0], WEIGHTS, r"points_m has shape \(300,\)"),
        (np.full((300, 3), 1.0), WEIGHTS, r"points_m has shape \(300, 3\)"),
        (np.where(np.arange(300)[:, None] == 7, np.nan, POINTS), WEIGHTS, r"points_m\[7\]"),
        (np.where(np.arange(300)[:, None] == 7, np.inf, POINTS), WEIGHTS, r"points_m\[7\]"),
        (POINTS, WEIGHTS.tolist(), "weights is a list"),
        (POINTS, WEIGHTS.astype(np.float64), "weights is an array of float64"),
        (POINTS, WEIGHTS[:-1], r"weights has shape \(299,\)"),
        (POINTS, np.where(np.arange(300) == 9, 0, WEIGHTS), r"weights\[9\] is 0"),
    ],
)
def test_other_arrays_are_refused_in_words(name: str, points: object, weights: object, named: str) -> None:
    with pytest.raises(ParameterError, match=named):
        get_adapter(name).fit(points, weights, 12.5, 8, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", adapter_names())
def test_numbers_of_numpy_are_taken(name: str) -> None:
    adapter = get_adapter(name)
    found = adapter.fit(POINTS, WEIGHTS, np.float32(12.5), np.int16(8), np.uint8(2))  # type: ignore[arg-type]
    assert (found.labels == adapter.fit(POINTS, WEIGHTS, 12.5, 8, 2).labels).all()
