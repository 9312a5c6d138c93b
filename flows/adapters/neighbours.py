"""How many neighbours points have, estimated without finding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS_PER_EPS = 2
_REACH = _CELLS_PER_EPS + 1
_MOST_COUNTED = 1_000_000
_MOST_ASKED = 20_000


def estimate_neighbours(points_m: NDArray[np.float64], eps_m: float) -> float:
    """Estimate the mean number of neighbours within eps_m, the point itself included, from counts in cells of eps / 2.

    Takes O(n) time: every k-th point is counted, and every k-th of these is asked, so that the answer needs no seed.
    Points of a cell are taken to be spread evenly over it, which real trips are nearly enough.

    Args:
        points_m: float64[n, 2], metres.
        eps_m: radius in metres.
    """
    n = len(points_m)
    if n == 0:
        return 0.0
    cells = _cells(points_m, eps_m / _CELLS_PER_EPS)
    asked = cells[:: -(-len(cells) // _MOST_ASKED)]
    keys, counts = np.unique(cells, return_counts=True)
    found = 0.0
    for (dx, dy), share in _pair_shares().items():
        wanted = asked + (dx + 1j * dy)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found += share * float(counts[place][keys[place] == wanted].sum())
    others = max(0.0, found / len(asked) - _pair_shares()[0, 0])
    return min(float(n), 1 + others * (n - 1) / max(1, len(cells) - 1))


def estimate_cells(points_m: NDArray[np.float64], eps_m: float) -> int:
    """Estimate how many cells of eps / sqrt 2 hold points.

    Where there are more points than are counted: cells grow with the points as far as points are alone in theirs.
    """
    n = len(points_m)
    if n == 0:
        return 0
    cells = _cells(points_m, eps_m / np.sqrt(2))
    occupied = len(np.unique(cells))
    return min(n, int(occupied * (n / len(cells)) ** (occupied / len(cells))))


def _cells(points_m: NDArray[np.float64], side_m: float) -> NDArray[np.complex128]:
    """The cell of every k-th point, column + row j: a pair of floats as one key, whatever the extent."""
    counted = points_m[:: -(-len(points_m) // _MOST_COUNTED)]
    cells = np.floor((counted - counted.min(axis=0)) / side_m)
    return np.ascontiguousarray(cells).view(np.complex128)[:, 0]


def _pair_shares() -> dict[tuple[int, int], float]:
    """For each offset of two cells, the share of pairs of their points that lie within eps."""
    grid = (np.arange(8) + 0.5) / 8 / _CELLS_PER_EPS
    gap = grid[:, None] - grid[None, :]
    shares = {}
    for dx in range(-_REACH, _REACH + 1):
        for dy in range(-_REACH, _REACH + 1):
            x, y = gap + dx / _CELLS_PER_EPS, gap + dy / _CELLS_PER_EPS
            share = float(np.mean(x[:, :, None, None] ** 2 + y[None, None] ** 2 <= 1))
            if share:
                shares[dx, dy] = share
    return shares
