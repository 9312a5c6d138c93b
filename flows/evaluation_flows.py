"""One DBSCAN experiment, recorded and judged."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows.model import parameter
from flows.model.parameters import spec_of
from flows.model.spec import AdapterType, CoordinateType, Eps, MaxSamples, MinSamples, Seed
from flows.runtime.context import open_run
from flows.runtime.flow_decorator import flow
from flows.runtime.result import ExperimentResult
from flows.tasks import cluster, evaluate, ingest, prepare, record, report


@flow(name="evaluation_pipeline")
def evaluation_pipeline(
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
    """Do what `experiment_pipeline` does, and judge the clustering: quality, performance and overall score.

    Errors are those of `flows.experiment_pipeline.experiment_pipeline`.
    """
    spec = spec_of(locals())
    with open_run("evaluation_pipeline", flow_run.id, spec, judges=True) as run:
        source = ingest(run)
        points = prepare(run, source)
        clustering = cluster(run, points)
        scores = evaluate(run, points, clustering)
        result = record(run, source, points, clustering, scores)
        report(result)
        return result
