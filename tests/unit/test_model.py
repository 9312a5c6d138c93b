"""Stored models read back as they were, and their metrics are plain numbers to whoever reads the JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from flows.model.metric import Metric
from flows.model.records import ExperimentRecord, Quality
from tests.unit.builders import an_experiment_record

metrics = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Metric(value=value)),
    st.text(min_size=1).map(lambda reason: Metric(value=None, reason=reason)),
)


@given(silhouette=metrics, davies_bouldin=metrics)
def test_metrics_are_plain_numbers_or_null_beside_a_reason(silhouette: Metric, davies_bouldin: Metric) -> None:
    quality = Quality(
        silhouette=silhouette,
        davies_bouldin=davies_bouldin,
        calinski_harabasz=Metric(value=2.5),
        silhouette_sample_size=10,
        silhouette_sample_clustered=9,
    )
    stored = json.loads(quality.model_dump_json())
    assert stored["calinski_harabasz"] == 2.5
    assert stored["silhouette"] == silhouette.value
    assert stored.get("silhouette_reason") == silhouette.reason
    assert Quality.model_validate_json(quality.model_dump_json()) == quality
    assert Quality.model_validate(quality.model_dump()) == quality


def test_a_record_reads_back() -> None:
    record = an_experiment_record()
    assert ExperimentRecord.model_validate_json(record.model_dump_json()) == record
