"""One DBSCAN experiment, recorded."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows.model import parameter
from flows.model.parameters import spec_of
from flows.model.spec import AdapterType, CoordinateType, Eps, MaxSamples, MinSamples, Seed
from flows.runtime.context import open_run
from flows.runtime.flow_decorator import flow
from flows.runtime.result import ExperimentResult
from flows.tasks import cluster, ingest, prepare, record, report


@flow(name="experiment_pipeline")
def experiment_pipeline(
    data_source: str | list[str],
    adapter_type: AdapterType = parameter.ADAPTER_TYPE,
    eps: Eps = parameter.EPS_KM,
    min_samples: MinSamples = parameter.MIN_SAMPLES,
    coordinate_type: CoordinateType = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = None,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
) -> ExperimentResult:
    """Cluster the trips of a data source with one setting, and record the result.

    Raises:
        ParameterError: a parameter is out of range; nothing was touched.
        SourceError: the data can't be used.
        MemoryLimitError: clustering would pass the memory limit; nothing was started.
        StoreError: the record could not be kept.
    """
    spec = spec_of(locals())
    with open_run("experiment_pipeline", flow_run.id, spec, judges=False) as run:
        source = ingest(run)
        points = prepare(run, source)
        clustering = cluster(run, points)
        result = record(run, source, points, clustering)
        report(result)
        return result
