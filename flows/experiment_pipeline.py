"""One DBSCAN experiment, recorded."""

from __future__ import annotations

from prefect.runtime import flow_run

from flows.model.parameters import experiment_spec
from flows.model.spec import MaxSamples, MinSamples, Seed
from flows.runtime.context import open_run
from flows.runtime.flow_decorator import flow
from flows.runtime.result import ExperimentResult
from flows.tasks import cluster, ingest, prepare, record, report


@flow(name="experiment_pipeline")
def experiment_pipeline(
    data_source: str | list[str],
    adapter_type: str = "sklearn",
    eps: float = 0.5,
    min_samples: MinSamples = 5,
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = None,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
) -> ExperimentResult:
    """Cluster the trips of a data source with one setting, and record the result.

    Args:
        data_source: object key in the store, or local path; a list of them, or a glob, for several months.
        adapter_type: the DBSCAN implementation; all give the same labels.
        eps: radius of a neighbourhood, in kilometres on the ground.
        min_samples: trips within eps, the point's own included, that make it a core point.
        coordinate_type: pickup, dropoff or both.
        use_location_ids: place trips at the centroids of their taxi zones where the source has no coordinates.
        max_samples: cluster that many points at most, drawn by seed; None for all.
        use_minio: read data_source from the object store; False reads a local path.
        seed: of every random choice.
        hours: only trips picked up in these hours, such as '7-10' (10 excluded), '22-4' or '7:30-9:30,16-19'.
        weekdays: only trips picked up on these days, such as 'mon-fri' or 'sat,sun'.

    Raises:
        ParameterError: a parameter is out of range; nothing was touched.
        SourceError: the data can't be used.
        MemoryLimitError: clustering would pass the memory limit; nothing was started.
        StoreError: the record could not be kept.
    """
    spec = experiment_spec(
        data_source,
        adapter_type,
        eps,
        min_samples,
        coordinate_type,
        use_location_ids,
        max_samples,
        use_minio,
        seed,
        hours,
        weekdays,
    )
    with open_run("experiment_pipeline", flow_run.id, spec, judges=False) as run:
        source = ingest(run)
        points = prepare(run, source)
        clustering = cluster(run, points)
        result = record(run, source, points, clustering)
        report(result)
        return result
