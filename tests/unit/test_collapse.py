"""Equal points are collapsed exactly, whatever the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.kernels.collapse import collapse
from flows.steps.projection import pack

coordinates = st.integers(-(2**30), 2**30)
points = st.lists(st.tuples(coordinates, coordinates), max_size=60)


def expected(units: NDArray[np.int64]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """First-occurrence order, weights and inverse, by a dictionary."""
    place: dict[tuple[int, int], int] = {}
    inverse = [place.setdefault((int(x), int(y)), len(place)) for x, y in units]
    return list(place), np.bincount(inverse, minlength=len(place)).tolist(), inverse


@given(distinct=points, picks=st.lists(st.integers(0, 59), max_size=200), n_blocks=st.integers(1, 5))
def test_collapse_equals_a_dictionary(distinct: list[tuple[int, int]], picks: list[int], n_blocks: int) -> None:
    units = np.array([distinct[i % len(distinct)] for i in picks] if distinct else [], np.int64).reshape(-1, 2)
    xy_m, weights, inverse = collapse(pack(units / 1024), n_blocks)
    unique, counts, places = expected(units)
    assert (xy_m * 1024).astype(int).tolist() == [list(point) for point in unique]
    assert weights.tolist() == counts
    assert inverse.tolist() == places


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 8])
def test_many_partitions(n_blocks: int) -> None:
    keys = np.random.default_rng(1).integers(0, 60_000, 200_000) << 32
    keys[::3] = keys[0]  # one heavy partition
    xy_m, weights, inverse = collapse(keys, n_blocks)
    assert ((xy_m[inverse, 0] * 1024).astype(np.int64) << 32 == keys).all()
    first = np.unique(inverse, return_index=True)[1]
    assert (np.diff(first) > 0).all()
    assert weights.sum() == len(keys)
    assert (np.bincount(inverse) == weights).all()
