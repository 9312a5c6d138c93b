"""Canonical labels from any DBSCAN labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def number_clusters(component: NDArray[np.int64], core: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the components of core points by their lowest input index.

    This is what scikit-learn does. Its `dbscan_inner` scans the points in input order and starts a new cluster, with
    the next number, at each core point that has no label yet; from there a depth-first search labels the whole
    component and every non-core point in reach that has no label. So

    - when cluster k starts at point i, every core point below i belongs to an earlier cluster: i is the lowest index
      of its component, and numbers grow with it;
    - a border point keeps its first label, that of the first cluster that reaches it: the lowest-numbered one.

    Hence scikit-learn's labels are canonical as they stand, and an adapter that finds components in any other order
    is canonical after this and after giving each border point the lowest number among the core points within eps.

    Args:
        component: int64[n], any non-negative number per connected component of core points; ignored elsewhere.
        core: bool[n].

    Returns:
        int64[n]: cluster number of each core point, -1 elsewhere.
    """
    labels = np.full(len(core), -1, dtype=np.int64)
    members = np.flatnonzero(core)
    _, first, inverse = np.unique(component[members], return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    labels[members] = number[inverse]
    return labels
