"""Many settings over the same trips."""

from __future__ import annotations

from typing import Literal

from flows.model.metric import Count
from flows.model.spec import MaxSamples, MinSamples, Seed
from flows.model.sweep_parameters import grid_spec
from flows.records.sweep_storage import resumed_plan
from flows.runtime.flow_decorator import flow
from flows.runtime.sweep_result import ComparisonResult, SweepResult
from flows.sweeps.chunks import fan_out
from flows.sweeps.compare_tasks import comparable
from flows.sweeps.execution import run_comparison, run_sweep
from flows.sweeps.sweep_tasks import check_max_failed

EPS_VALUES_KM = (0.3, 0.5, 0.7, 1.0)
MIN_SAMPLES_VALUES = (5, 10, 15)
COMPARED_EPS_VALUES_KM = (0.3, 0.5, 0.7)
COMPARED_MIN_SAMPLES_VALUES = (5, 10)
COMPARED_ADAPTERS = ("sklearn", "sklearn_parallel")


@flow(name="parameter_sweep_flow")
def parameter_sweep_flow(
    data_source: str | list[str],
    adapter_type: str = "sklearn",
    eps_values: list[float] | Literal["auto"] = list(EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[MinSamples] = list(MIN_SAMPLES_VALUES),  # noqa: B006
    metric: str = "overall_score",
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = None,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: Count = 0,
    allow_large: bool = False,
    resume: str | None = None,
    max_parallel: Count = 4,
    cells_per_chunk: Count | None = None,
    chunk_attempts: Count = 2,
) -> SweepResult:
    """Cluster the same trips with every combination of eps and min_samples, and name the best by a metric.

    Args:
        data_source: as in `experiment_pipeline`, like the parameters that are not named here.
        adapter_type: the DBSCAN implementation.
        eps_values: radii in kilometres, or "auto" for five around the knee of the k-distances.
        min_samples_values: trips that make a core point.
        metric: what "best" means, by the metric's own direction (flows.model.ranking.METRICS).
        max_failed: cells that may fail; all are tried whatever it is.
        allow_large: go on with more than 10,000 cells.
        resume: id of a sweep that stopped; its own parameters hold, its finished cells are kept as they are.
        max_parallel: on a cluster, flow runs of cells at once.
        cells_per_chunk: on a cluster, cells of one such run; None for max_parallel runs of at least six cells.
        chunk_attempts: on a cluster, flow runs that may be started for the same cells.

    Raises:
        ParameterError: a parameter is out of range; nothing was touched.
        SourceError: the data can't be used.
        SweepFailedError: no cell succeeded, or more than max_failed failed; the record is kept.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = grid_spec(
        data_source,
        adapter_type,
        eps_values,
        min_samples_values,
        metric,
        coordinate_type,
        use_location_ids,
        max_samples,
        use_minio,
        seed,
        hours,
        weekdays,
        allow_large,
    )
    return run_sweep("parameter_sweep_flow", grid, max_failed, how, resumed_plan(resume))


@flow(name="compare_adapters_sweep_flow")
def compare_adapters_sweep_flow(
    data_source: str | list[str],
    eps_values: list[float] = list(COMPARED_EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[MinSamples] = list(COMPARED_MIN_SAMPLES_VALUES),  # noqa: B006
    adapters: list[str] = list(COMPARED_ADAPTERS),  # noqa: B006
    metric: str = "overall_score",
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = None,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: Count = 0,
    allow_large: bool = False,
    max_parallel: Count = 4,
    cells_per_chunk: Count | None = None,
    chunk_attempts: Count = 2,
) -> ComparisonResult:
    """Cluster the same trips with the same settings through several adapters: speed, memory, and whether labels agree.

    Each adapter runs in a process of its own, started for it.

    Args:
        data_source: as in `experiment_pipeline`, like the parameters that are not named here.
        eps_values: radii in kilometres.
        min_samples_values: trips that make a core point.
        adapters: DBSCAN implementations; the others are set against the first.
        metric: checked and recorded, so that a comparison is read like a sweep.
        max_failed: cells that may fail; all are tried whatever it is.
        allow_large: go on with more than 10,000 cells.
        max_parallel: on a cluster, flow runs of cells at once.
        cells_per_chunk: on a cluster, cells of one such run; None for max_parallel runs of at least six cells.
        chunk_attempts: on a cluster, flow runs that may be started for the same cells.

    Raises:
        ParameterError: a parameter is out of range; nothing was touched.
        SourceError: the data can't be used.
        SweepFailedError: no cell succeeded, or more than max_failed failed; the record is kept.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = comparable(
        grid_spec(
            data_source,
            adapters,
            eps_values,
            min_samples_values,
            metric,
            coordinate_type,
            use_location_ids,
            max_samples,
            use_minio,
            seed,
            hours,
            weekdays,
            allow_large,
        )
    )
    return run_comparison("compare_adapters_sweep_flow", grid, max_failed, how)
