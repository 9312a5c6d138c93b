"""Many settings over the same trips."""

from __future__ import annotations

from typing import Literal

from flows.model import parameter
from flows.model.metric import AtLeastOne, Count
from flows.model.ranking import MetricName
from flows.model.spec import AdapterType, CoordinateType, Eps, MaxSamples, MinSamples, Seed
from flows.model.sweep_parameters import grid_of
from flows.records.sweep_storage import resumed_plan
from flows.runtime.flow_decorator import flow
from flows.runtime.sweep_result import ComparisonResult, SweepResult
from flows.sweeps.chunks import fan_out
from flows.sweeps.compare_tasks import comparable
from flows.sweeps.execution import run_comparison, run_sweep
from flows.sweeps.sweep_tasks import check_max_failed


@flow(name="parameter_sweep_flow")
def parameter_sweep_flow(
    data_source: str | list[str],
    adapter_type: AdapterType = parameter.ADAPTER_TYPE,
    eps_values: list[Eps] | Literal["auto"] = list(parameter.EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[MinSamples] = list(parameter.MIN_SAMPLES_VALUES),  # noqa: B006
    metric: MetricName = parameter.METRIC,
    coordinate_type: CoordinateType = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = None,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: Count = 0,
    allow_large: bool = False,
    resume: str | None = None,
    max_parallel: AtLeastOne = parameter.MAX_PARALLEL,
    cells_per_chunk: AtLeastOne | None = None,
    chunk_attempts: AtLeastOne = parameter.CHUNK_ATTEMPTS,
) -> SweepResult:
    """Cluster the same trips with every combination of eps and min_samples, and name the best by a metric.

    Raises:
        ParameterError: a parameter is out of range; nothing was touched.
        SourceError: the data can't be used.
        SweepFailedError: no cell succeeded, or more than max_failed failed; the record is kept.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = grid_of(locals())
    return run_sweep("parameter_sweep_flow", grid, max_failed, how, resumed_plan(resume))


@flow(name="compare_adapters_sweep_flow")
def compare_adapters_sweep_flow(
    data_source: str | list[str],
    eps_values: list[Eps] = list(parameter.COMPARED_EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[MinSamples] = list(parameter.COMPARED_MIN_SAMPLES_VALUES),  # noqa: B006
    adapters: list[AdapterType] = list(parameter.COMPARED_ADAPTERS),  # noqa: B006
    metric: MetricName = parameter.METRIC,
    coordinate_type: CoordinateType = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = None,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: Count = 0,
    allow_large: bool = False,
    max_parallel: AtLeastOne = parameter.MAX_PARALLEL,
    cells_per_chunk: AtLeastOne | None = None,
    chunk_attempts: AtLeastOne = parameter.CHUNK_ATTEMPTS,
) -> ComparisonResult:
    """Cluster the same trips with the same settings through several adapters: speed, memory, and whether labels agree.

    Each adapter runs in a process of its own, started for it.

    Raises:
        ParameterError: a parameter is out of range; nothing was touched.
        SourceError: the data can't be used.
        SweepFailedError: no cell succeeded, or more than max_failed failed; the record is kept.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = comparable(grid_of(locals()))
    return run_comparison("compare_adapters_sweep_flow", grid, max_failed, how)
