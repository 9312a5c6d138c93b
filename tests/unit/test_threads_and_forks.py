"""Kernels from several threads at once, and in processes that are started after a run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ThreadPoolExecutor
import numba, numpy as np
from flows.adapters.registry import get_adapter
from flows.kernels import collapse

points = np.round(np.random.default_rng(0).normal(0, 400, (3000, 2)) * 1024) / 1024
weights = np.ones(len(points), np.int64)


def clusters(eps_m):
    for _ in range(5):
        collapse.collapse(np.arange(5000), 2)
        labels = get_adapter("grid").fit(points, weights, eps_m, 5, 2).labels
    return int(labels.max()) + 1


def answer(connection):
    try:
        connection.send(clusters(15.0))
    except RuntimeError as error:
        connection.send(str(error))


with ThreadPoolExecutor(4) as pool:
    found = list(pool.map(clusters, [10.0, 15.0, 20.0, 25.0]))
print(numba.threading_layer(), *found)
context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
child = context.Process(target=answer, args=(theirs,))
child.start()
print(ours.recv() if ours.poll(60) else "no answer")
child.join()
"""
CLUSTERS = "4 39 106 101"
"""Of scikit-learn's DBSCAN, for the same points and settings."""


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP and fork are Linux's")
@pytest.mark.parametrize(("layer", "in_child"), [("omp", "spawn"), ("workqueue", "39")])
def test_threads_at_once_and_a_fork_afterwards(layer: str, in_child: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    threads, child = done.stdout.splitlines()
    assert threads == f"{layer} {CLUSTERS}"
    assert in_child in child
