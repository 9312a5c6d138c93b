"""Images as they are run: read-only root, no privileges, kernels compiled when the image was built."""

from __future__ import annotations

import pytest

from tests.cluster.kube import FLOWS, pod, run_pod

pytestmark = pytest.mark.cluster

FIRST_FIT = """
import numpy as np
from flows.adapters.registry import get_adapter
from flows.kernels import grid_cells, grid_core, grid_join, grid_labels, grid_sort
adapter = get_adapter("grid")
adapter.load()
points = np.random.default_rng(0).random((5000, 2)) * 1000
labels, core = adapter.fit(points, np.ones(len(points), np.int64), 20.0, 5, 1)
modules = (grid_cells, grid_core, grid_join, grid_labels, grid_sort)
dispatchers = [one for module in modules for one in vars(module).values() if hasattr(one, "stats")]
hits = sum(sum(one.stats.cache_hits.values()) for one in dispatchers)
misses = sum(sum(one.stats.cache_misses.values()) for one in dispatchers)
print(f"hits={hits} misses={misses} clusters={labels.max() + 1}")
"""


@pytest.mark.smoke
@pytest.mark.parametrize("image", ["TAXI_IMAGE_EXPERIMENT", "TAXI_IMAGE_EVALUATION"])
def test_the_first_fit_in_a_pod_with_read_only_root_compiles_nothing(environment: dict[str, str], image: str) -> None:
    phase, log = run_pod(pod("first-fit", FLOWS, environment[image], ["python", "-c", FIRST_FIT]))
    assert phase == "Succeeded", log
    found = dict(part.split("=") for part in log.splitlines()[-1].split())
    assert found["misses"] == "0", log
    assert int(found["hits"]) >= 8, log
    assert int(found["clusters"]) >= 0


@pytest.mark.smoke
def test_an_image_without_an_api_says_so(environment: dict[str, str]) -> None:
    flow = "from flows.aggregate_results import aggregate_results_flow as flow; flow()"
    phase, log = run_pod(pod("no-api", FLOWS, environment["TAXI_IMAGE_AGGREGATE"], ["python", "-c", flow]))
    assert phase == "Failed"
    assert "No Prefect API URL provided" in log
