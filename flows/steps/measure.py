"""What a piece of work costs: wall time, CPU time and peak memory of the process and its children."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MIN_PEAK_BYTES = 2**20
"""Below this a peak tells nothing: a few pages of an allocator or of a thread's stack weigh as much."""

_SAMPLE_SECONDS = 0.02
_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass
class Cost:
    """Filled when the measured block ends.

    wall_seconds; cpu_seconds: user + system, process and children. peak_memory_bytes: highest resident memory of
    process and children during the block minus that before it; None below MIN_PEAK_BYTES.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure a block.

    What was freed before goes back to the system first where glibc can do so (malloc_trim(3)): an allocator keeps
    megabytes of it, and what the block takes of those would not be seen.
    The kernel's own high-water mark of this process is reset first where /proc allows it (Linux, proc(5): clear_refs),
    since a thread that samples gets no turn while compiled code holds the interpreter lock; children are sampled.
    """
    cost = Cost()
    process = psutil.Process()
    _return_freed_memory()
    has_mark = _reset_high_water_mark()
    own_bytes, before_bytes, children_cpu = process.memory_info().rss, _resident_bytes(process), _children_cpu(process)
    sampler = _Sampler(process)
    own_cpu, started = time.process_time(), time.perf_counter()
    try:
        yield cost
    finally:
        cost.wall_seconds = time.perf_counter() - started
        own_cpu = time.process_time() - own_cpu - sampler.cpu_seconds
        cost.cpu_seconds = max(0.0, own_cpu) + max(0.0, _children_cpu(process) - children_cpu)
        added_bytes = sampler.stop() - before_bytes
        if has_mark:
            added_bytes = max(added_bytes, _high_water_mark_bytes() - own_bytes)
        cost.peak_memory_bytes = added_bytes if added_bytes >= MIN_PEAK_BYTES else None


class _Sampler:
    """Watches the resident memory of a process and its children from a thread.

    cpu_seconds: what the watching itself has taken.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._done, self._peak_bytes = process, threading.Event(), 0
        self.cpu_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._peak_bytes = max(self._peak_bytes, _resident_bytes(self._process))
            self.cpu_seconds = time.thread_time()
            if self._done.wait(_SAMPLE_SECONDS):
                return

    def stop(self) -> int:
        """End the watch and give the highest sum seen, in bytes."""
        self._done.set()
        self._thread.join()
        return max(self._peak_bytes, _resident_bytes(self._process))


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _resident_bytes(process: psutil.Process) -> int:
    total = 0
    for member in _family(process):
        with suppress(psutil.NoSuchProcess):  # a child may end at any time
            total += member.memory_info().rss
    return total


def _children_cpu(process: psutil.Process) -> float:
    """CPU seconds of the children, those that ended too, to the kernel's tick: 10 ms as a rule."""
    ended = process.cpu_times()
    total = ended.children_user + ended.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def _return_freed_memory() -> None:
    with suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _reset_high_water_mark() -> bool:
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _high_water_mark_bytes() -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
