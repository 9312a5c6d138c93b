"""The guard that refuses a fit that would not fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.adapters.protocol import Adapter
from flows.adapters.registry import adapter_names
from flows.core.errors import MemoryLimitError
from flows.core.limits import KERNEL, Cgroups, memory_limit, size
from flows.core.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def check_memory(
    adapter: Adapter,
    points_m: NDArray[np.float64],
    weights: NDArray[np.int64],
    eps_m: float,
    min_samples: int,
    n_jobs: int,
    settings: Settings,
    cgroups: Cgroups = KERNEL,
) -> int:
    """Refuse a fit that would not fit into memory, before it starts.

    Args:
        adapter: who would cluster; the other arguments are those of its `fit`.
        settings: hold the memory limit.
        cgroups: as for `memory_limit`.

    Returns:
        The estimated peak in bytes.

    Raises:
        MemoryLimitError: names the need, what is left, the limit, and the ways out.
    """
    need = adapter.estimate_bytes(points_m, eps_m, min_samples, n_jobs)
    left = memory_limit(settings, cgroups)
    if need > left.bytes:
        raise MemoryLimitError(
            f"adapter {adapter.name} needs about {size(need)} for {len(points_m):,} distinct points at eps "
            f"{eps_m / 1000:g} km; {size(left.bytes)} are left of {size(left.limit_bytes)} ({left.source}). "
            f"{_ways_out(adapter.name)}."
        )
    return need


def _ways_out(name: str) -> str:
    others = [other for other in ("grid", "sklearn_parallel") if other in adapter_names() and other != name]
    ways = ["a smaller eps", "fewer points (max_samples)"]
    ways += [f"adapter {' or '.join(others)}, which keep no neighbour lists"] if others and name == "sklearn" else []
    return f"Try {', '.join(ways)}, or a larger memory limit"
