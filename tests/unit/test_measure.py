"""A measured block's cost is its own: what came before does not count, children do."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from flows.steps.measure import measured

MIB = 1 << 20


def test_peak_memory_is_that_of_the_block() -> None:
    np.ones(200 * MIB // 8).sum()  # a higher peak before the block must not count
    with measured() as cost:
        block = np.ones(64 * MIB // 8)
        del block
    assert 60 * MIB < cost.peak_memory_bytes < 90 * MIB


def test_peak_memory_counts_children() -> None:
    child = "import sys; b = bytearray(80 << 20); print('ready', flush=True); sys.stdin.read(1)"
    with measured() as cost:
        process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and cost.peak_memory_bytes == 0 and process.poll() is None:
            process.communicate(b"x")
    assert cost.peak_memory_bytes > 70 * MIB


def test_cpu_seconds_count_children() -> None:
    with measured() as cost:
        subprocess.run([sys.executable, "-c", "x = sum(i * i for i in range(3_000_000))"], check=True)
    assert 0.05 < cost.cpu_seconds <= cost.wall_seconds * 1.5
