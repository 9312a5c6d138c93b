"""A grid in chunks: every cell once, no eps split, one adapter each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.errors import ParameterError
from flows.model.sweep_parameters import cell_specs, grid_spec
from flows.model.sweeps import GridSpec
from flows.sweeps.chunks import FanOut, cut, fan_out

ADAPTERS = ("sklearn", "sklearn_parallel", "grid")


def grid_of(n_adapters: int, n_eps: int, n_min_samples: int) -> GridSpec:
    eps_values = [0.1 * (place + 1) for place in range(n_eps)]
    grid = grid_spec("trips.csv", ADAPTERS[:n_adapters], eps_values, list(range(1, n_min_samples + 1)))
    assert isinstance(grid, GridSpec)
    return grid


@given(
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 6),
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(1, 30)),
)
def test_chunks_part_the_grid(n_adapters: int, n_eps: int, n_min_samples: int, most: int, size: int | None) -> None:
    grid = grid_of(n_adapters, n_eps, n_min_samples)
    specs = list(cell_specs(grid))
    chunks = cut(grid, FanOut(max_parallel=most, cells_per_chunk=size))
    assert [place for chunk in chunks for place in chunk] == list(range(len(specs)))
    for chunk in chunks:
        assert len({specs[place].adapter_type for place in chunk}) == 1
        assert len(chunk) % n_min_samples == 0, "an eps is split"
        if size is not None:
            assert len(chunk) < size + n_min_samples


def test_as_many_chunks_as_may_run_at_once_but_no_tiny_ones() -> None:
    def sizes(grid: GridSpec, how: FanOut) -> list[int]:
        return [len(chunk) for chunk in cut(grid, how)]

    assert sizes(grid_of(1, 8, 6), FanOut(max_parallel=4)) == [12, 12, 12, 12]
    assert sizes(grid_of(1, 4, 3), FanOut(max_parallel=4)) == [6, 6]
    assert sizes(grid_of(2, 3, 2), FanOut(max_parallel=2)) == [6, 6]
    assert sizes(grid_of(1, 5, 1), FanOut(max_parallel=1, cells_per_chunk=2)) == [2, 2, 1]


@pytest.mark.parametrize("bad", [{"max_parallel": 0}, {"cells_per_chunk": 0}, {"chunk_attempts": True}])
def test_a_number_below_one_is_refused(bad: dict[str, int]) -> None:
    given_numbers = {"max_parallel": 4, "cells_per_chunk": None, "chunk_attempts": 2, **bad}
    with pytest.raises(ParameterError, match=f"{next(iter(bad))} is .*1 or more"):
        fan_out(**given_numbers)  # type: ignore[arg-type]
