"""A measured block's cost is its own: what came before does not count, children do."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from flows.steps.measure import MIN_PEAK_BYTES

MIB = 1 << 20


def cost_of(before: str, block: str) -> dict[str, float]:
    """The cost of a block in a fresh process, where nothing else comes and goes."""
    code = f"""
import json, subprocess, sys
import numpy as np
from flows.steps.measure import measured
{before}
with measured() as cost:
    {block}
print(json.dumps(vars(cost)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    cost: dict[str, float] = json.loads(done.stdout)
    return cost


def test_peak_memory_is_that_of_the_block() -> None:
    cost = cost_of("np.ones(200 << 17).sum()", "np.ones(64 << 17).sum()")  # a higher peak before must not count
    assert 60 * MIB < cost["peak_memory_bytes"] < 90 * MIB


def test_peak_memory_is_not_hidden_by_a_child_that_ends_meanwhile() -> None:
    start = (
        "child = subprocess.Popen([sys.executable, '-c', 'b = bytearray(90 << 20); input()'], stdin=subprocess.PIPE)"
    )
    wait = "import time; from psutil import Process; end = time.monotonic() + 30"
    until = "while Process(child.pid).memory_info().rss < 90 << 20 and time.monotonic() < end: time.sleep(0.01)"
    cost = cost_of(f"{start}\n{wait}\n{until}", "child.communicate(b'\\n'); np.ones(64 << 17).sum()")
    assert 60 * MIB < cost["peak_memory_bytes"] < 90 * MIB


def test_peak_memory_and_cpu_time_count_children() -> None:
    work = "b = bytearray(80 << 20); x = sum(i * i for i in range(3_000_000))"
    cost = cost_of("", f"subprocess.run([sys.executable, '-c', {work!r}], check=True)")
    assert cost["peak_memory_bytes"] > 70 * MIB
    assert 0.05 < cost["cpu_seconds"] <= cost["wall_seconds"] * 1.5


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="freed memory is given back by glibc's malloc_trim")
def test_memory_that_was_freed_before_is_charged_to_the_block_that_takes_it_again() -> None:
    before = "blocks = [np.ones(1 << 12) for _ in range(500)]; del blocks"  # 16 MiB, which the allocator keeps
    cost = cost_of(before, "np.ones(8 << 17).sum()")
    assert 7.9 * MIB < cost["peak_memory_bytes"] < 12 * MIB


def test_a_peak_too_small_to_measure_is_none() -> None:
    assert cost_of("", f"np.ones({MIN_PEAK_BYTES // 32}).sum()")["peak_memory_bytes"] is None


def test_cpu_time_of_a_short_block_is_not_lost_in_the_tick_of_the_kernel() -> None:
    cost = cost_of("import time", "end = time.process_time() + 0.004\n    while time.process_time() < end: pass")
    assert cost["cpu_seconds"] > 0.003
