"""What a run may use: workers and memory.

In a pod the limits come from the downward API (`TAXI_N_JOBS`, `TAXI_MEMORY_LIMIT_BYTES`), elsewhere from the cgroup
(v1 or v2) and the machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flows.core.errors import MemoryLimitError, ParameterError
from flows.core.settings import Settings

_UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2^63."""


class MemoryLimit(NamedTuple):
    """Memory that is left, and the limit that leaves the least of it.

    bytes: what may still be taken, >= 0. limit_bytes: the limit itself. source: where the limit comes from.
    """

    bytes: int
    limit_bytes: int
    source: str


class Cgroups(NamedTuple):
    """Where the kernel tells this process's limits; tests pass a tree of their own.

    root: mount of the cgroup file system. membership: the process's /proc/self/cgroup.
    """

    root: Path = Path("/sys/fs/cgroup")
    membership: Path = Path("/proc/self/cgroup")

    def folders(self, controller: str) -> Iterator[Path]:
        """Every folder whose limit of the controller binds this process, of either version.

        Both the process's own group with its ancestors and the mount itself: inside a container the path in
        /proc/self/cgroup may be the host's, which is not mounted.
        """
        for line in _text(self.membership).splitlines() or ["0::/"]:
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mounts = (controllers, controller) if controllers else ("",)
            mount = next((self.root / name for name in mounts if (self.root / name).is_dir()), self.root)
            group = Path(path.lstrip("/"))
            yield from (mount / folder for folder in (group, *group.parents) if (mount / folder).is_dir())


KERNEL = Cgroups()
"""The running kernel's own answers."""


def n_jobs(parameter: int | None, settings: Settings, cgroups: Cgroups = KERNEL) -> int:
    """Threads or workers to use: the parameter, else `TAXI_N_JOBS`, else the CPUs this process may use.

    Raises:
        ParameterError: the parameter is below 1.
    """
    if parameter is not None:
        if parameter < 1:
            raise ParameterError(f"n_jobs is {parameter!r}; give a whole number of at least 1, or leave it out")
        return parameter
    return settings.n_jobs or usable_cpus(cgroups)


def usable_cpus(cgroups: Cgroups = KERNEL) -> int:
    """CPUs of the affinity mask, or of the cgroup's quota (rounded up) where that is less; at least 1."""
    try:
        affinity = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        affinity = os.cpu_count() or 1
    quotas = [math.ceil(quota) for folder in cgroups.folders("cpu") if (quota := _cpu_quota(folder)) is not None]
    return max(1, min([affinity, *quotas]))


def memory_limit(settings: Settings, cgroups: Cgroups = KERNEL) -> MemoryLimit:
    """What is left of `TAXI_MEMORY_LIMIT_BYTES`, of the cgroups' limits and of the machine's memory: the least."""
    import psutil

    machine = psutil.virtual_memory()
    limits = [MemoryLimit(machine.available, machine.total, "the machine's memory")]
    limits += [found for folder in cgroups.folders("memory") if (found := _cgroup_memory(folder)) is not None]
    if settings.memory_limit_bytes is not None:
        left = settings.memory_limit_bytes - _resident_bytes()
        limits.append(MemoryLimit(max(0, left), settings.memory_limit_bytes, "TAXI_MEMORY_LIMIT_BYTES"))
    return min(limits)


def check_points(n_points: int, need_bytes: int, left: MemoryLimit) -> None:
    """Refuse more points than can be made ready for clustering, while they are read.

    Args:
        n_points: used so far.
        need_bytes: what preparing them takes at the least.
        left: as it was before the first was read.

    Raises:
        MemoryLimitError: names the points, the need, what was left, the limit, and the ways out.
    """
    if need_bytes > left.bytes:
        raise MemoryLimitError(
            f"preparing the first {n_points:,} used points takes more than {size(need_bytes)}; {size(left.bytes)} "
            f"were left of {size(left.limit_bytes)} ({left.source}). Cluster fewer files at once, choose hours or "
            "weekdays, or allow more memory."
        )


def size(n_bytes: int) -> str:
    """A size for a message."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def _resident_bytes() -> int:
    import psutil

    own = psutil.Process()
    total: int = own.memory_info().rss
    for child in own.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it ended meanwhile
            continue
    return total


def _cgroup_memory(folder: Path) -> MemoryLimit | None:
    """A cgroup's limit less its use, of either version; the page cache that the kernel would give back is not used."""
    for limit_file, use_file, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, use = _text(folder / limit_file).strip(), _text(folder / use_file).strip()
        if limit.isdigit() and int(limit) < _UNLIMITED:
            stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
            used = max(0, int(use or 0) - int(stat.get(cache_key, 0)))
            return MemoryLimit(max(0, int(limit) - used), int(limit), f"cgroup {folder}")
    return None


def _cpu_quota(folder: Path) -> float | None:
    """CPUs of the quota, of either version; None without one."""
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the kernel offers only what its version and the controllers in use have
        return ""
