"""What a run may use: parameter, environment, cgroups of both versions, machine."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from flows.core.errors import ParameterError
from flows.core.limits import Cgroups, memory_limit, n_jobs, usable_cpus
from flows.core.settings import Settings

GIB = 2**30


def cgroups(root: Path, membership: str, files: dict[str, str]) -> Cgroups:
    """A cgroup tree of our own."""
    for name, text in files.items():
        path = root / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "fs").mkdir(exist_ok=True)
    (root / "cgroup").write_text(membership)
    return Cgroups(root / "fs", root / "cgroup")


@pytest.fixture
def bare(tmp_path: Path) -> Cgroups:
    return cgroups(tmp_path, "0::/\n", {})


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def test_the_parameter_comes_before_the_environment_and_that_before_the_machine(
    monkeypatch: pytest.MonkeyPatch, bare: Cgroups, eight_cpus: None
) -> None:
    assert n_jobs(None, Settings(), bare) == 8
    monkeypatch.setenv("TAXI_N_JOBS", "3")
    assert n_jobs(None, Settings(), bare) == 3
    assert n_jobs(2, Settings(), bare) == 2


@pytest.mark.parametrize("bad", [0, -1])
def test_n_jobs_below_one_is_refused(bad: int, bare: Cgroups) -> None:
    with pytest.raises(ParameterError, match=f"n_jobs is {bad}"):
        n_jobs(bad, Settings(), bare)


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/pod/box\n", {"pod/cpu.max": "300000 100000\n", "pod/box/cpu.max": "max 100000\n"}, 3),
        ("0::/host/path/that/is/not/mounted\n", {"cpu.max": "400000 100000\n"}, 4),
        ("4:cpu,cpuacct:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 8),
        ("4:cpu:/a\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "250000\n", "cpu/a/cpu.cfs_period_us": "50000\n"}, 5),
    ],
)
def test_a_cgroup_quota_bounds_the_cpus(
    tmp_path: Path, eight_cpus: None, membership: str, files: dict[str, str], cpus: int
) -> None:
    assert usable_cpus(cgroups(tmp_path, membership, files)) == cpus


def test_without_any_cgroup_the_affinity_counts(tmp_path: Path, eight_cpus: None) -> None:
    assert usable_cpus(Cgroups(tmp_path / "none", tmp_path / "neither")) == 8


@pytest.fixture
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = psutil.virtual_memory()._replace(available=500 * GIB, total=512 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)


def test_without_limits_the_free_memory_counts(bare: Cgroups, large_machine: None) -> None:
    assert memory_limit(Settings(), bare) == (500 * GIB, 512 * GIB, "the machine's memory")


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        (
            "0::/pod\n",
            {
                "memory.max": "max\n",
                "pod/memory.max": f"{4 * GIB}\n",
                "pod/memory.current": f"{2 * GIB}\n",
                "pod/memory.stat": f"anon 5\ninactive_file {GIB}\n",
            },
        ),
        (
            "9:memory:/pod\n0::/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/pod/memory.limit_in_bytes": f"{4 * GIB}\n",
                "memory/pod/memory.usage_in_bytes": f"{2 * GIB}\n",
                "memory/pod/memory.stat": f"cache 5\ntotal_inactive_file {GIB}\n",
            },
        ),
    ],
    ids=["v2", "v1"],
)
def test_a_cgroup_leaves_its_limit_less_its_use_without_page_cache(
    tmp_path: Path, large_machine: None, membership: str, files: dict[str, str]
) -> None:
    left, limit, source = memory_limit(Settings(), cgroups(tmp_path, membership, files))
    assert (left, limit) == (3 * GIB, 4 * GIB)
    assert source.startswith("cgroup ")
    assert source.endswith("pod")


def test_the_downward_api_counts_what_the_process_already_holds(
    monkeypatch: pytest.MonkeyPatch, bare: Cgroups, large_machine: None
) -> None:
    monkeypatch.setenv("TAXI_MEMORY_LIMIT_BYTES", str(64 * GIB))
    left, limit, source = memory_limit(Settings(), bare)
    assert limit == 64 * GIB
    assert 0 < left < 64 * GIB
    assert source == "TAXI_MEMORY_LIMIT_BYTES"


def test_a_limit_already_passed_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, bare: Cgroups, large_machine: None
) -> None:
    monkeypatch.setenv("TAXI_MEMORY_LIMIT_BYTES", "1")
    assert memory_limit(Settings(), bare).bytes == 0
