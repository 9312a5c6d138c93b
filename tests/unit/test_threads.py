"""The thread count holds inside the block only."""

from __future__ import annotations

import numba
import pytest

from flows.kernels.threads import threads


def test_count_is_set_and_restored() -> None:
    before = numba.get_num_threads()
    with threads(1) as n_threads:
        assert n_threads == numba.get_num_threads() == 1
    assert numba.get_num_threads() == before


def test_count_is_restored_after_an_error() -> None:
    before = numba.get_num_threads()
    with pytest.raises(KeyError), threads(1):
        raise KeyError
    assert numba.get_num_threads() == before


def test_more_than_numba_started_with_is_cut_down() -> None:
    with threads(10_000) as n_threads:
        assert n_threads == numba.config.NUMBA_NUM_THREADS


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="n_jobs is 0"), threads(0):
        pass
