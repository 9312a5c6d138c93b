"""Checks that every adapter makes before it works."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from flows.core.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_input(
    points_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    eps_m: float,
    min_samples: int,
    n_jobs: int,
) -> None:
    """Refuse what `Adapter.fit` can't cluster.

    Args:
        points_m: must be float64[n, 2], finite.
        weights: must be int64[n], >= 1, and add up to less than 2^63.
        eps_m: must be finite and above 0.
        min_samples: must be a whole number >= 1.
        n_jobs: must be a whole number >= 1.

    Raises:
        ParameterError: names what is wrong, where, and the value found.
    """
    check_arguments(points_m, weights, eps_m, min_samples, n_jobs)
    check_values(points_m, weights)


def check_arguments(
    points_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    eps_m: float,
    min_samples: int,
    n_jobs: int,
) -> None:
    """The part of `check_input` that does not read the arrays."""
    _check_eps(eps_m)
    _check_count("min_samples", min_samples)
    _check_count("n_jobs", n_jobs)
    if not isinstance(points_m, np.ndarray) or points_m.dtype != np.float64:
        raise ParameterError(f"points_m is {_kind(points_m)}; give a float64 array")
    if points_m.ndim != 2 or points_m.shape[1] != 2:
        raise ParameterError(f"points_m has shape {points_m.shape}; give one row of x and y in metres per point")
    if not isinstance(weights, np.ndarray) or weights.dtype != np.int64:
        raise ParameterError(f"weights is {_kind(weights)}; give an int64 array")
    if weights.shape != (n := len(points_m),):
        raise ParameterError(f"weights has shape {weights.shape} for {n} points; give one weight per point")


def check_values(points_m: NDArray[np.float64], weights: NDArray[np.int64]) -> None:
    """The part of `check_input` that reads the arrays."""
    n = len(points_m)
    if not (finite := np.isfinite(points_m).all(axis=1)).all():
        row = int(np.argmin(finite))
        raise ParameterError(f"points_m[{row}] is {points_m[row].tolist()}; drop points without finite coordinates")
    if n and weights.min() < 1:
        row = int(np.argmin(weights))
        raise ParameterError(f"weights[{row}] is {weights[row]}; a point stands for at least one trip")
    # In float64 first: the int64 sum that is asked about would wrap around.
    if n and float(weights.sum(dtype=np.float64)) >= 2.0**63:
        raise ParameterError(
            f"weights add up to {weights.sum(dtype=np.float64):.3g}; int64 can't count that many trips"
        )


def _check_eps(eps_m: object) -> None:
    if isinstance(eps_m, bool) or not isinstance(eps_m, Real) or not math.isfinite(eps_m) or eps_m <= 0:
        raise ParameterError(f"eps_m is {eps_m!r}; give a finite number of metres above 0")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ParameterError(f"{name} is {value!r}; give a whole number of at least 1")


def _kind(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
