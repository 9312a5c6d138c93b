"""Sweeps, comparisons, schedules and aggregation as flows on real trips: what cells hold, fail, resume."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL

from flows.adapters.protocol import CellFit
from flows.adapters.sklearn_sequential import SklearnAdapter
from flows.aggregate_results import aggregate_results_flow
from flows.core.errors import ParameterError, SourceNotFoundError, SweepFailedError
from flows.core.settings import Settings, load_settings
from flows.evaluation_flows import evaluation_pipeline
from flows.model.outcome import Outcome
from flows.model.ranking import best
from flows.model.sweeps import AggregateRecord, Cell, ComparisonRecord, SweepRecord
from flows.parameter_sweep import compare_adapters_sweep_flow, parameter_sweep_flow
from flows.records.storage import list_records, read_record
from flows.scheduled_flows import daily_adapter_comparison_flow, weekly_parameter_sweep_flow
from flows.steps.record import record
from flows.store import ObjectStore, open_store
from tests.flows.artifacts import artifact
from tests.unit.experiments import finished_experiment
from tests.unit.test_imports import REPOSITORY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MONTH = "yellow_tripdata_2025-09.parquet"
SAMPLE = "coords/yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet"
FEW = 2000

# Clusters two eps values, and kills itself in the third.
KILLED_SWEEP = """
import os, signal
from flows.adapters.sklearn_sequential import SklearnAdapter
from flows.parameter_sweep import parameter_sweep_flow

def fit_many(self, points_m, weights, eps_values_m, *others, whole=SklearnAdapter.fit_many):
    if eps_values_m[0] == 300:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, points_m, weights, eps_values_m, *others)

SklearnAdapter.fit_many = fit_many
parameter_sweep_flow("yellow_tripdata_2025-09.parquet", eps_values=[0.1, 0.2, 0.3], min_samples_values=[5, 20],
                     max_samples=2000, metric="silhouette")
"""


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    return open_store(settings)


@pytest.fixture
def month(shared_data: Path, settings: Settings, store: ObjectStore) -> str:
    """A real month's sample under the name of the guide's examples, in the store."""
    store.put_file(settings.data_bucket, MONTH, shared_data / SAMPLE)
    return MONTH


@pytest.fixture
def fitted_m(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The eps values, metres, that the sequential adapter was asked for in this process."""
    asked: list[float] = []
    whole = SklearnAdapter.fit_many

    def counted(
        self: SklearnAdapter,
        points_m: NDArray[np.float64],
        weights: NDArray[np.int64],
        eps_values_m: Sequence[float],
        min_samples_values: Sequence[int],
        n_jobs: int,
    ) -> list[CellFit]:
        asked.extend(eps_values_m)
        return whole(self, points_m, weights, eps_values_m, min_samples_values, n_jobs)

    monkeypatch.setattr(SklearnAdapter, "fit_many", counted)
    return asked


@pytest.fixture
def _no_memory_at_300_m(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SklearnAdapter.estimate_bytes

    def estimate(
        self: SklearnAdapter, points_m: NDArray[np.float64], eps_m: float, min_samples: int, n_jobs: int
    ) -> int:
        return 1 << 60 if eps_m == 300 else whole(self, points_m, eps_m, min_samples, n_jobs)

    monkeypatch.setattr(SklearnAdapter, "estimate_bytes", estimate)


def settings_of(cells: Sequence[Cell]) -> list[tuple[float, int]]:
    return [(cell.eps, cell.min_samples) for cell in cells]


def test_the_guides_sweep(month: str, settings: Settings, store: ObjectStore) -> None:
    results = parameter_sweep_flow(
        data_source=month, adapter_type="sklearn", eps_values=[0.3, 0.5, 0.7, 1.0], min_samples_values=[5, 10, 15]
    )
    assert len(results.cells) == 12
    assert results.best is not None
    assert "best by overall_score" in str(results)
    report = store.get_bytes(settings.experiments_bucket, results.record.key.removesuffix(".json") + ".report.html")
    assert results.id.encode() in report
    outcome = Outcome.model_validate(json.loads(artifact("parameter-sweep-flow-outcome"))[0])
    assert (outcome.cells, outcome.cells_done, outcome.cells_failed) == (12, 12, 0)
    assert (outcome.best_eps, outcome.best_min_samples) == (results.best.eps, results.best.min_samples)
    assert (outcome.record_key, outcome.score) == (results.record.key, results.best.overall_score.value)


def test_each_cell_is_the_single_experiment(month: str, settings: Settings, store: ObjectStore) -> None:
    result = parameter_sweep_flow(month, eps_values=[0.1, 0.3], min_samples_values=[5, 20], max_samples=FEW)
    assert settings_of(result.cells) == [(0.1, 5), (0.1, 20), (0.3, 5), (0.3, 20)]
    for cell in result.cells:
        single = evaluation_pipeline(month, eps=cell.eps, min_samples=cell.min_samples, max_samples=FEW).record
        assert cell.clustering == single.clustering
        assert cell.quality == single.quality
        assert cell.experiment_id is not None
        kept = read_record(store, settings, cell.experiment_id)
        assert (kept.sweep_id, kept.spec, kept.points) == (result.id, single.spec, single.points)
        tables = [store.get_bytes(settings.experiments_bucket, one.clusters_key) for one in (kept, single)]
        assert tables[0] == tables[1]


@pytest.mark.usefixtures("_no_memory_at_300_m")
def test_a_failed_cell_keeps_the_others_and_fails_the_run(month: str, settings: Settings, store: ObjectStore) -> None:
    with pytest.raises(SweepFailedError, match=r"1 of 3 cells failed, 0 may(?s:.*)eps 0.3 km.*GiB"):
        parameter_sweep_flow(month, eps_values=[0.1, 0.3, 0.2], min_samples_values=[5], max_samples=FEW)
    (found,) = (one for one in store.list(settings.experiments_bucket, "sweeps/") if re.search(r"Z-\w+\.json", one.key))
    kept = SweepRecord.model_validate_json(store.get_bytes(settings.experiments_bucket, found.key))
    assert [cell.status for cell in kept.cells] == ["ok", "failed", "ok"]
    assert "sklearn needs about" in (kept.cells[1].reason or "")
    assert kept.best in {0, 2}
    assert len(list_records(store, settings)) == 2


@pytest.mark.usefixtures("_no_memory_at_300_m")
def test_as_many_may_fail_as_max_failed_says_but_never_all(month: str) -> None:
    result = parameter_sweep_flow(month, eps_values=[0.3, 0.2], min_samples_values=[5], max_samples=FEW, max_failed=1)
    assert [cell.status for cell in result.cells] == ["failed", "ok"]
    with pytest.raises(SweepFailedError, match="1 of 1 cells failed"):
        parameter_sweep_flow(month, eps_values=[0.3], min_samples_values=[5], max_samples=FEW, max_failed=1)


def test_a_killed_sweep_resumes_to_what_an_uninterrupted_one_gives(
    month: str, settings: Settings, store: ObjectStore, fitted_m: list[float]
) -> None:
    api = PREFECT_API_URL.value()
    assert api is not None
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_SWEEP], env={**os.environ, "PREFECT_API_URL": api}, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    done = {record.spec.eps: record for record in list_records(store, settings)}
    assert set(done) == {0.1, 0.2}
    sweep_id = done[0.1].sweep_id

    resumed = parameter_sweep_flow("ignored.parquet", resume=sweep_id)
    assert fitted_m == [300.0]
    assert resumed.id == sweep_id
    before = {record.id: record for record in done.values()}
    for cell in resumed.cells:
        if cell.experiment_id in before:
            assert cell.performance == before[cell.experiment_id].performance
            assert cell.overall_score == before[cell.experiment_id].overall_score

    whole = parameter_sweep_flow(
        month, eps_values=[0.1, 0.2, 0.3], min_samples_values=[5, 20], max_samples=FEW, metric="silhouette"
    )
    assert settings_of(resumed.cells) == settings_of(whole.cells)
    assert [cell.clustering for cell in resumed.cells] == [cell.clustering for cell in whole.cells]
    assert [cell.quality for cell in resumed.cells] == [cell.quality for cell in whole.cells]
    assert resumed.record.best == whole.record.best == best(resumed.cells, "silhouette")[0]
    assert len(list_records(store, settings)) == 12, "no cell is recorded twice"


def test_a_sweep_that_an_earlier_version_began_is_resumed(settings: Settings, fitted_m: list[float]) -> None:
    shutil.copytree(REPOSITORY / "tests" / "kept", settings.store_dir, dirs_exist_ok=True)
    resumed = parameter_sweep_flow("ignored.csv", resume="20261201T013500Z-00000001")
    assert fitted_m == [200.0]
    assert settings_of(resumed.cells) == [(0.1, 5), (0.1, 10), (0.2, 5), (0.2, 10)]
    (whole,) = (settings.store_dir / settings.experiments_bucket / "sweeps").rglob("20261201T013420Z-2fb777b5.json")
    earlier = SweepRecord.model_validate_json(whole.read_bytes()).cells
    assert [cell.clustering for cell in resumed.cells] == [cell.clustering for cell in earlier]
    assert [cell.overall_score for cell in resumed.cells][:2] == [cell.overall_score for cell in earlier][:2]


def test_bad_parameters_are_refused_before_the_store_is_touched(settings: Settings) -> None:
    with pytest.raises(ParameterError, match="unknown metric 'speed'"):
        parameter_sweep_flow("nowhere.parquet", metric="speed")
    with pytest.raises(ParameterError, match="max_failed is -1"):
        compare_adapters_sweep_flow("nowhere.parquet", max_failed=-1)
    assert not settings.store_dir.exists()


def test_adapters_agree_and_few_points_tell_no_speed(month: str, settings: Settings, store: ObjectStore) -> None:
    result = compare_adapters_sweep_flow(
        data_source=month, eps_values=[0.1, 0.3], min_samples_values=[5], max_samples=FEW
    )
    cells = result.record.cells
    assert [cell.adapter for cell in cells] == ["sklearn", "sklearn", "sklearn_parallel", "sklearn_parallel"]
    assert [cell.clustering for cell in cells[:2]] == [cell.clustering for cell in cells[2:]]
    assert [cell.quality for cell in cells[:2]] == [cell.quality for cell in cells[2:]]
    for one in (*result.record.by_cell, *result.record.overall):
        assert (one.adapter, one.reference, one.equal, one.adjusted_rand.value) == (
            "sklearn_parallel", "sklearn", True, 1.0,
        )  # fmt: skip
        assert one.speed_up.value is None
        assert one.speed_up.reason == "too few distinct points to compare speed"
    assert "too few distinct points" in str(result)
    kept = ComparisonRecord.model_validate_json(store.get_bytes(settings.experiments_bucket, result.record.key))
    assert kept == result.record
    assert {one.id for one in list_records(store, settings)} == {cell.experiment_id for cell in cells}


def test_a_comparison_with_failed_cells_is_kept_and_fails(
    month: str, settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.steps.prepare.check_points", lambda *_: None)  # only the cells are refused
    monkeypatch.setenv("TAXI_MEMORY_LIMIT_BYTES", "1")
    with pytest.raises(SweepFailedError, match=r"2 of 2 cells failed"):
        compare_adapters_sweep_flow(month, [0.1], [5], max_samples=FEW)
    kept = [found.key for found in store.list(settings.experiments_bucket, "comparisons/")]
    assert [key.partition(".")[2] for key in kept] == ["json", "report.html"], "the report tells of failures too"


def test_the_daily_run_takes_the_latest_month_by_name(
    month: str, shared_data: Path, settings: Settings, store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    for earlier in ("yellow_tripdata_2024-12.parquet", "green_tripdata_2025-10.parquet"):
        store.put_file(settings.data_bucket, earlier, shared_data / SAMPLE)
    result = daily_adapter_comparison_flow(max_samples=FEW)
    assert result.record.flow == "daily_adapter_comparison_flow"
    assert result.record.spec.data_source == (month,)
    assert settings_of(result.record.cells) == [(0.5, 5), (0.5, 5)]
    assert result.record.spec.adapters == ("sklearn", "sklearn_parallel")
    assert f"data_source {month}: the latest yellow month" in caplog.text


def test_the_weekly_run_sweeps_with_the_grid_adapter(month: str) -> None:
    result = weekly_parameter_sweep_flow(max_samples=FEW)
    assert result.record.flow == "weekly_parameter_sweep_flow"
    assert result.record.spec.data_source == (month,)
    assert len(result.cells) == 54
    assert {cell.adapter for cell in result.cells} == {"grid"}
    assert result.best is not None
    assert result.best.clustering is not None
    assert not result.best.clustering.one_blob


def test_a_schedule_without_a_month_says_so() -> None:
    with pytest.raises(SourceNotFoundError, match="no data_source was named"):
        daily_adapter_comparison_flow()
    with pytest.raises(ParameterError, match="use_minio is False"):
        weekly_parameter_sweep_flow(use_minio=False)


def test_experiments_of_the_last_days_are_aggregated(tmp_path: Path, settings: Settings, store: ObjectStore) -> None:
    for seed in range(3):
        record(finished_experiment(tmp_path, seed), store)
    result = aggregate_results_flow(days=7, seed=3)
    assert result.record.n_records == 3
    assert [(group.adapter, group.n_records) for group in result.record.groups] == [("sklearn", 3)]
    assert result.record.key.startswith(f"aggregates/date={result.record.last_day}/")
    kept = AggregateRecord.model_validate_json(store.get_bytes(settings.experiments_bucket, result.record.key))
    assert kept == result.record
    assert "3 experiments" in str(result)


def test_an_aggregation_of_nothing_is_refused(settings: Settings) -> None:
    for days, seed, fault in ((0, 0, "days is 0"), (7, -1, "seed is -1"), (7, 0, "no records from")):
        with pytest.raises(ParameterError, match=fault):
            aggregate_results_flow(days=days, seed=seed)
    assert not [path for path in settings.store_dir.rglob("*") if path.is_file()]
