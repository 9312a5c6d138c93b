"""The guard refuses work that would not fit, with the numbers and the ways out, and its estimates are close."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.adapters.memory import check_memory
from flows.adapters.registry import get_adapter
from flows.core.errors import MemoryLimitError
from flows.core.limits import Cgroups, MemoryLimit
from flows.core.settings import Settings

NO_CGROUPS = Cgroups(Path("/none"), Path("/none"))
MIB = 2**20


def spot(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 300, (n, 2))


def check(name: str, n: int, limit_bytes: int) -> int:
    points_m = spot(n)
    settings = Settings(memory_limit_bytes=limit_bytes)
    return check_memory(get_adapter(name), points_m, np.ones(n, dtype=np.int64), 500.0, 5, 2, settings, NO_CGROUPS)


def test_what_fits_passes_and_tells_the_estimate() -> None:
    assert 100_000 < check("sklearn", 1_000, 1 << 50) < 100 * MIB


def test_what_does_not_fit_is_refused_with_numbers_and_ways_out() -> None:
    with pytest.raises(MemoryLimitError) as refused:
        check("sklearn", 100_000, 2 << 30)
    message = str(refused.value)
    for part in (
        "adapter sklearn needs about",
        "GiB for 100,000 distinct points at eps 0.5 km",
        "left of 2.0 GiB (TAXI_MEMORY_LIMIT_BYTES)",
        "a smaller eps",
        "max_samples",
        "sklearn_parallel",
        "a larger memory limit",
    ):
        assert part in message


def test_ways_out_name_only_other_adapters_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.adapters.memory.adapter_names", lambda: ("sklearn",))
    with pytest.raises(MemoryLimitError) as refused:
        check("sklearn", 100_000, 1 * MIB)
    assert "sklearn_parallel" not in str(refused.value)
    assert "grid" not in str(refused.value)


def test_tiles_fit_where_neighbour_lists_do_not() -> None:
    assert check("sklearn_parallel", 100_000, 2 << 30) < 200 * MIB


def test_a_tight_limit_makes_smaller_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    points_m = spot(400_000)
    wide = get_adapter("sklearn_parallel").estimate_bytes(points_m, 100.0, 5, 2)
    monkeypatch.setattr("flows.adapters.sklearn_parallel.memory_limit", lambda settings: MemoryLimit(0, 0, "none"))
    tight = get_adapter("sklearn_parallel").estimate_bytes(points_m, 100.0, 5, 2)
    assert tight < wide


MEASURE = """
import re, sys
import numpy as np
from flows.adapters.registry import get_adapter
name, n, eps_m = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
adapter = get_adapter(name)
adapter.load()
random = np.random.default_rng(0)
points_m = random.uniform(0, 20_000, (30, 2))[random.integers(0, 30, n)] + random.normal(0, 400, (n, 2))
points_m = np.round(points_m * 1024) / 1024
weights = np.ones(n, dtype=np.int64)
adapter.fit(points_m[:1000], weights[:1000], eps_m, 5, 2)
estimate = adapter.estimate_bytes(points_m, eps_m, 5, 2)
resident = lambda field: int(re.search(field + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
open("/proc/self/clear_refs", "w").write("5")
before = resident("VmRSS")
adapter.fit(points_m, weights, eps_m, 5, 2)
print(estimate / (resident("VmHWM") - before))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's peak of resident memory")
@pytest.mark.parametrize(("name", "n", "eps_m"), [("sklearn", 30_000, 500), ("sklearn_parallel", 300_000, 100)])
def test_estimates_are_within_a_factor_of_two_of_the_measured_peak(name: str, n: int, eps_m: int) -> None:
    command = [sys.executable, "-c", MEASURE, name, str(n), str(eps_m)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.5 < float(done.stdout) < 2
