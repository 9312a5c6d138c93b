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
    counted = points_m[:: -(-n // _MOST_COUNTED)]
    cells = np.floor((counted - counted.min(axis=0)) / (eps_m / _CELLS_PER_EPS))
    asked = cells[:: -(-len(counted) // _MOST_ASKED)]
    # Complex numbers sort by real, then imaginary part: a pair of floats as one key, whatever the extent.
    keys, counts = np.unique(cells[:, 0] + 1j * cells[:, 1], return_counts=True)
    found = 0.0
    for (dx, dy), share in _pair_shares().items():
        wanted = asked[:, 0] + dx + 1j * (asked[:, 1] + dy)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found += share * float(counts[place][keys[place] == wanted].sum())
    others = max(0.0, found / len(asked) - _pair_shares()[0, 0])
    return min(float(n), 1 + others * (n - 1) / max(1, len(counted) - 1))


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
