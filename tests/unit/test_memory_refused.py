"""Where memory or threads are refused, a run ends with an error: never with another result."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.adapters.protocol import Fit
from flows.core.errors import OutOfMemoryError, ThreadsError
from flows.core.refusals import refusals_told
from flows.kernels import collapse, evaluation, grid, locate
from flows.runtime.context import KernelLoading
from flows.steps.cluster import check_fit

SERIAL = {"grid_labels._gather_roots", "evaluation.cluster_moments"}
"""Kernels that may allocate: they run in no parallel loop, so their MemoryError reaches the caller."""

LIMITED = """
import resource, sys
import numpy as np
from flows.adapters.registry import get_adapter
from flows.kernels import collapse, evaluation
from flows.kernels.threads import threads

random = np.random.default_rng(0)
n, mib = 400_000, 1 << 20
keys = np.where(random.random(n) < 0.9, 132 << 32 | 9, random.integers(0, 1 << 40, n))
points = np.round(random.normal(0, 1500, (20_000, 2)) * 1024) / 1024
points[:4000] = np.round(random.normal(0, 20, (4000, 2)) * 1024) / 1024
weights = random.integers(1, 4, len(points))
slots = random.integers(0, 400, (2000, 1)).astype(np.uint32)


def collapsed():
    return collapse.collapse(keys, 2)


def clustered():
    return get_adapter("grid").fit(points, weights, 60.0, 40, 2)


def judged():
    with threads(2) as n_threads:
        sizes = np.bincount(slots[:, 0], minlength=401).astype(float)
        return [evaluation.silhouette_rows(points[:2000], np.ones(2000), slots, np.array([0, 401]), sizes, n_threads)]


def used_bytes():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) << 10


seen = set()
for work in (collapsed, clustered, judged):
    whole = work()
    for limit in [n_kib << 10 for n_kib in (0, 8, 64, 200, 500, 900, 1500, 2500, 4000, 6000, 9000, 14000, 22000)]:
        resource.setrlimit(resource.RLIMIT_AS, (used_bytes() + limit, resource.RLIM_INFINITY))
        try:
            found = work()
        except MemoryError:
            seen.add("refused")
        else:
            assert all((a == b).all() for a, b in zip(whole, found, strict=True)), (work.__name__, limit)
            seen.add("the same")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sorted(seen))
"""

NO_THREADS = """
import resource, sys
import numpy as np
from flows.kernels import collapse
resource.setrlimit(resource.RLIMIT_AS, (int(next(
    line for line in open("/proc/self/status") if line.startswith("VmSize")
).split()[1]) * 1024 + (1 << 20),) * 2)
try:
    collapse.collapse(np.zeros(1, np.int64), 1)
except RuntimeError as error:
    print(type(error).__name__, error)
"""


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_parallel_kernel_allocates() -> None:
    """Compiled code that allocates names the runtime's function for it."""
    for module in (collapse, evaluation, grid, locate):
        module.warm_up()
    objects: dict[str, bytes] = {}
    for path in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc"):
        name = re.split(r"-\d+\.py", path.name)[0]
        objects[name] = objects.get(name, b"") + path.read_bytes()
    allocating = {name for name, code in objects.items() if re.search(rb"NRT_(MemInfo_(alloc|varsize)|Allocate)", code)}
    assert {"collapse.find_first", "grid_sort.sort_buckets", "grid_join._linked", "locate._compact"} < set(objects)
    assert allocating == SERIAL


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits on address space")
def test_whatever_memory_is_granted_the_result_is_the_same_or_an_error() -> None:
    assert run(LIMITED, MALLOC_ARENA_MAX="1") == "['refused', 'the same']"


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits on address space")
def test_threads_that_can_not_be_started_are_an_error() -> None:
    found = run(NO_THREADS, NUMBA_NUM_THREADS="64")
    assert found.startswith("ThreadsRefusedError 64 threads can't be started here")
    assert "ulimit -u" in found


def test_refusals_are_errors_of_ours() -> None:
    with pytest.raises(OutOfMemoryError, match=r"refused memory \(no 8 GiB\)") as refused, refusals_told():
        raise MemoryError("no 8 GiB")
    assert refused.value.exit_code == 1
    with pytest.raises(ThreadsError, match="ulimit -u"), refusals_told():
        raise RuntimeError("can't start new thread")
    with pytest.raises(RuntimeError, match="another"), refusals_told():
        raise RuntimeError("another")


def test_a_fault_while_kernels_load_reaches_the_run() -> None:
    def load() -> None:
        raise MemoryError("no kernel")

    with pytest.raises(MemoryError, match="no kernel"):
        KernelLoading(load).wait()


@pytest.mark.parametrize(
    ("labels", "core", "fault"),
    [
        ([0, 0], [True, True, True], "2 labels and 3 core flags for 3 points"),
        ([0, 0, -2], [True, True, False], "labels from -2 to 0"),
        ([0, 0, 3], [True, True, True], "labels from 0 to 3"),
        ([0, 0, -1], [True, True, True], "a core point without a cluster"),
        ([0, 0, 1], [True, True, False], "a cluster without a core point"),
    ],
)
def test_a_clustering_with_holes_is_refused(labels: list[int], core: list[bool], fault: str) -> None:
    with pytest.raises(RuntimeError, match=fault):
        check_fit(Fit(np.array(labels), np.array(core)), 3)


def test_weights_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    find = collapse.find_first

    def lose_a_partition(*args: object) -> None:
        find(*args)
        args[8][:] = 0  # type: ignore[index]  # counts
        args[8][0] = 1  # type: ignore[index]

    monkeypatch.setattr(collapse, "find_first", lose_a_partition)
    with pytest.raises(RuntimeError, match="3 points were collapsed to weights of 1"):
        collapse.collapse(np.array([1, 1, 1]), 1)


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_a_partition_of_more_keys_than_slots_is_done_again(n_blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collapse, "USUAL_SLOTS", 64)
    keys = np.random.default_rng(0).integers(0, 5000, 40_000) << 32
    xy_m, weights, inverse = collapse.collapse(keys, n_blocks)
    unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
    order = np.argsort(first)
    assert ((xy_m[:, 0] * 1024).astype(np.int64) << 32 == unique[order]).all()
    assert (weights == counts[order]).all()
    assert (xy_m[inverse, 0] * 1024 == keys >> 32).all()
