"""Canonical labels from the connected components of core points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def number_components(component: NDArray[np.int64], core: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the components of core points by the lowest input index of a core point.

    This is what scikit-learn does. Its `dbscan_inner` scans the points in input order and starts a new cluster, with
    the next number, at each core point that has no label yet; from there a depth-first search labels the whole
    component and every non-core point in reach that has no label. So

    - when cluster k starts at point i, every core point below i belongs to an earlier cluster: i is the lowest index
      of its component, and numbers grow with it;
    - a border point keeps its first label, that of the first cluster that reaches it: the lowest-numbered one.

    Hence scikit-learn's labels are canonical as they stand, and an adapter that finds components in any other order is
    canonical after this and after giving each border point the lowest number among the core points within eps.

    Args:
        component: int64[n], number below n of each core point's component; ignored elsewhere.
        core: bool[n].

    Returns:
        int64[n]: by component the number of its cluster; -1 for numbers that no core point has.
    """
    members = np.flatnonzero(core)
    first = np.full(len(core), len(core), dtype=np.int64)
    np.minimum.at(first, component[members], members)
    used = np.flatnonzero(first < len(core))
    number = np.full(len(core), -1, dtype=np.int64)
    number[used[np.argsort(first[used])]] = np.arange(len(used))
    return number
