from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.core.errors import TaxiFlowsError
from flows.core.settings import load_settings
from flows.runtime.result import ExperimentResult
from flows.steps.export import label_array
from flows.steps.record import Finished, record
from flows.store import open_store
from tests.unit.experiments import finished_experiment


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    return finished_experiment(tmp_path)


@pytest.fixture
def result(finished: Finished) -> ExperimentResult:
    store = open_store(finished.settings)
    kept, clusters = record(finished, store)
    location = store.location(finished.settings.experiments_bucket, kept.key)
    return ExperimentResult.of(kept, location, finished.points, finished.clustering.labels, clusters)


def test_labels_and_clusters(result: ExperimentResult, finished: Finished) -> None:
    assert np.array_equal(result.labels(), label_array(finished.points, finished.clustering.labels))
    assert result.clusters()["size"].tolist() == list(result.record.clustering.sizes)
    assert (result.id, result.n_clusters, result.overall_score) == (result.record.id, 3, result.record.overall_score)


@pytest.mark.parametrize("way", ["pickle", "json"])
def test_another_process_has_record_and_clusters_but_no_labels(result: ExperimentResult, way: str) -> None:
    if way == "pickle":
        frozen = pickle.dumps(result)
        assert len(frozen) < 20_000
        thawed = pickle.loads(frozen)  # noqa: S301
    else:
        thawed = ExperimentResult.model_validate_json(result.model_dump_json())
    assert thawed.record == result.record
    assert str(thawed) == str(result)
    assert thawed.clusters().equals(result.clusters())
    with pytest.raises(TaxiFlowsError, match=r"labels of .* are not at hand.*Run the experiment again"):
        thawed.labels()
    assert len(result.labels()) == result.record.points.used


def test_prints_readably(result: ExperimentResult) -> None:
    text = str(result)
    assert result.location in text.splitlines()[-1]
    assert Path(result.location).is_file()
    assert load_settings().experiments_bucket in result.location
    assert "one blob: eps is too large for hot spots" in text
    assert "\x1b" not in text
    assert repr(result) == f"<ExperimentResult {result.id}: 3 clusters>"


def test_importing_it_needs_no_heavy_library() -> None:
    code = (
        "import sys, flows.runtime.result, flows.records.storage, flows.datasets.sources, flows.store\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'shapely', 'pyproj', 'rich', 'sklearn', 'numba'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
