"""How a grid is cut into chunks, each of which one flow run does."""

from __future__ import annotations

from itertools import groupby

from flows.core.errors import ParameterError
from flows.core.frozen import INT64_MAX, Frozen
from flows.model import parameter
from flows.model.parameters import shown
from flows.model.sweep_parameters import cell_specs
from flows.model.sweeps import GridSpec

SMALLEST_CHUNK = 6
"""Cells that are worth a pod: starting one, with its libraries and its trips, takes as long as some quick cells."""


class FanOut(Frozen):
    """How a sweep is spread over flow runs.

    max_parallel: flow runs at once. cells_per_chunk: cells of one flow run, rounded up to whole eps; None: as many as
    make `max_parallel` chunks, at least six. chunk_attempts: flow runs that a chunk may take where they fail or crash.
    """

    max_parallel: int = parameter.MAX_PARALLEL
    cells_per_chunk: int | None = None
    chunk_attempts: int = parameter.CHUNK_ATTEMPTS


def fan_out(max_parallel: int, cells_per_chunk: int | None, chunk_attempts: int) -> FanOut:
    """Check how a sweep is to be spread.

    Raises:
        ParameterError: a number is none, or below 1.
    """
    given = {"max_parallel": max_parallel, "cells_per_chunk": cells_per_chunk, "chunk_attempts": chunk_attempts}
    for name, value in given.items():
        may_be_none = name == "cells_per_chunk"
        if (value is None and may_be_none) or (type(value) is int and 1 <= value <= INT64_MAX):
            continue
        raise ParameterError(f"{name} is {shown(value)}: give a whole number, 1 or more, at most {INT64_MAX}.")
    return FanOut(max_parallel=max_parallel, cells_per_chunk=cells_per_chunk, chunk_attempts=chunk_attempts)


def cut(grid: GridSpec, how: FanOut) -> tuple[tuple[int, ...], ...]:
    """Places of the cells of each chunk, in order.

    A chunk has one adapter, since adapters differ in the work pool they need, and never splits an eps, whose neighbour
    counts all its cells share.
    """
    specs = list(cell_specs(grid))
    n_cells = how.cells_per_chunk or max(SMALLEST_CHUNK, -(-len(specs) // how.max_parallel))
    n_eps = -(-n_cells // len(grid.min_samples_values))
    chunks = []
    for _, places in groupby(range(len(specs)), key=lambda place: specs[place].adapter_type):
        of_adapter = list(places)
        size = n_eps * len(grid.min_samples_values)
        chunks += [tuple(of_adapter[first : first + size]) for first in range(0, len(of_adapter), size)]
    return tuple(chunks)
