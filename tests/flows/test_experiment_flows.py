"""The two experiment flows on real trips: the guide's calls, the labels, the record, and what repeats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from prefect import State
from sklearn.cluster import DBSCAN

from flows.core.errors import ParameterError, SourceNotFoundError
from flows.core.settings import load_settings
from flows.evaluation_flows import evaluation_pipeline
from flows.experiment_pipeline import experiment_pipeline
from flows.model.outcome import Outcome
from flows.model.spec import CoordinateType
from flows.records.storage import read_record
from flows.runtime.result import ExperimentResult
from flows.steps.projection import project
from flows.store import open_store
from tests.flows.artifacts import artifact

MONTH = "yellow_tripdata_2025-09.parquet"
SAMPLE = "coords/yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet"


@pytest.fixture
def month(shared_data: Path) -> str:
    """A real month's sample under the name of the guide's examples, in the store."""
    settings = load_settings()
    open_store(settings).put_file(settings.data_bucket, MONTH, shared_data / SAMPLE)
    return MONTH


@pytest.mark.usefixtures("month")
def test_the_guides_experiment() -> None:
    result = experiment_pipeline(
        data_source="yellow_tripdata_2025-09.parquet", adapter_type="sklearn", eps=0.5, min_samples=5, max_samples=1000
    )
    assert result.record.points.used == 1000
    assert result.record.quality is None
    assert list(result.record.timings) == ["ingest", "load_kernels", "prepare", "cluster", "record"]
    assert result.record.flow == "experiment_pipeline"


@pytest.mark.usefixtures("month")
def test_the_guides_evaluation() -> None:
    evaluation = evaluation_pipeline(
        data_source="yellow_tripdata_2025-09.parquet", adapter_type="sklearn", eps=0.5, min_samples=5
    )
    record = evaluation.record
    assert record.points.rows == 6662
    assert record.points.dropped["zero"] == 103
    assert record.points.dropped["outside"] == 1
    assert record.overall_score.value is not None
    assert 0 <= record.overall_score.value <= 1
    assert record.clustering.one_blob
    settings = load_settings()
    assert read_record(open_store(settings), settings, record.id) == record
    assert len(evaluation.clusters()) == record.clustering.n_clusters
    assert evaluation.clusters()["size"].tolist() == list(record.clustering.sizes)
    assert record.id in artifact("evaluation-pipeline-summary")
    assert len(json.loads(artifact("evaluation-pipeline-table"))) == record.clustering.n_clusters
    (outcome,) = json.loads(artifact("evaluation-pipeline-outcome"))
    assert Outcome.model_validate(outcome) == Outcome.of_experiment(record)
    assert outcome["record_key"] == record.key
    assert outcome["clusters"] == record.clustering.n_clusters


@pytest.mark.parametrize("ends", ["pickup", "dropoff", "both"])
def test_labels_are_those_of_scikit_learn(shared_data: Path, ends: CoordinateType) -> None:
    import pandas as pd

    path = shared_data / SAMPLE
    result = experiment_pipeline(str(path), eps=0.1, min_samples=20, coordinate_type=ends, use_minio=False)
    labels = result.labels()
    trips = pd.read_parquet(path)
    names = np.array(["pickup", "dropoff"])
    lon = trips[["pickup_longitude", "dropoff_longitude"]].to_numpy()[labels["row"], labels["end"]]
    lat = trips[["pickup_latitude", "dropoff_latitude"]].to_numpy()[labels["row"], labels["end"]]
    assert set(names[np.unique(labels["end"])]) == ({"pickup", "dropoff"} if ends == "both" else {ends})
    assert (np.diff(labels["row"] * 2 + labels["end"]) > 0).all()
    oracle = DBSCAN(eps=100.0, min_samples=20, algorithm="kd_tree").fit(project(lon, lat))
    assert (labels["label"] == oracle.labels_).all()


def test_a_record_repeats_bit_by_bit(month: str) -> None:
    first = evaluation_pipeline(month, eps=0.2, min_samples=10, max_samples=3000, seed=7, coordinate_type="both")
    spec = first.record.spec
    again = evaluation_pipeline(
        list(spec.data_source), spec.adapter_type, spec.eps, spec.min_samples, spec.coordinate_type,
        spec.use_location_ids, spec.max_samples, spec.use_minio, spec.seed, spec.hours, spec.weekdays,
    )  # fmt: skip
    assert first.record.quality == again.record.quality
    assert first.record.clustering == again.record.clustering
    assert first.record.points == again.record.points
    assert first.record.source == again.record.source
    assert (first.labels() == again.labels()).all()
    settings = load_settings()
    store = open_store(settings)
    bucket = settings.experiments_bucket
    clusters = [store.get_bytes(bucket, result.record.clusters_key) for result in (first, again)]
    assert clusters[0] == clusters[1]


def test_months_by_glob(shared_data: Path) -> None:
    result = experiment_pipeline(str(shared_data / "coords/yellow_2016-01_s*0k_*.parquet"), eps=0.05, use_minio=False)
    assert result.record.points.rows == 33_276 + 6_662
    assert [file.rows for file in result.record.source] == [6_662, 33_276]


def test_a_refused_parameter_fails_the_run_and_touches_nothing() -> None:
    state: State[ExperimentResult] = experiment_pipeline("nowhere.parquet", eps=-1, return_state=True)
    assert state.is_failed()
    with pytest.raises(ParameterError, match=r"eps is -1.*kilometres"):
        state.result()


def test_a_missing_object_names_the_way_out() -> None:
    with pytest.raises(SourceNotFoundError, match="taxi-flows data"):
        experiment_pipeline("nowhere.parquet")
