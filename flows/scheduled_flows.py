"""The runs of the night and of the week. They do the tasks of a comparison and of a sweep in their own flow run.

A nested flow would be a second run of the same work in Prefect's list, with a duration and a failure of its own.
"""

from __future__ import annotations

from typing import Literal

from flows.core.errors import ParameterError
from flows.core.settings import load_settings
from flows.datasets.latest import latest_month
from flows.model import parameter
from flows.model.metric import AtLeastOne, Count
from flows.model.ranking import MetricName
from flows.model.spec import AdapterType, CoordinateType, Eps, MaxSamples, MinSamples, Seed
from flows.model.sweep_parameters import grid_of
from flows.runtime.flow_decorator import flow
from flows.runtime.sweep_result import ComparisonResult, SweepResult
from flows.store import open_store
from flows.sweeps.chunks import fan_out
from flows.sweeps.compare_tasks import comparable
from flows.sweeps.execution import run_comparison, run_sweep
from flows.sweeps.sweep_tasks import check_max_failed


@flow(name="daily_adapter_comparison_flow")
def daily_adapter_comparison_flow(
    data_source: str | list[str] | None = None,
    coordinate_type: CoordinateType = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = parameter.DAILY_MAX_SAMPLES,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: Count = 0,
    max_parallel: AtLeastOne = parameter.MAX_PARALLEL,
    cells_per_chunk: AtLeastOne | None = None,
    chunk_attempts: AtLeastOne = parameter.CHUNK_ATTEMPTS,
) -> ComparisonResult:
    """Compare sklearn and sklearn_parallel with the default setting: eps 0.5 km, min_samples 5.

    Args:
        data_source: Object key of a month; if not set, the latest yellow month in the store.

    Errors are those of `flows.parameter_sweep.compare_adapters_sweep_flow`.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    setting = {
        "adapters": parameter.COMPARED_ADAPTERS,
        "eps_values": [parameter.EPS_KM],
        "min_samples_values": [parameter.MIN_SAMPLES],
    }
    source = _source_or_latest(data_source, use_minio)
    grid = comparable(grid_of({**locals(), **setting, "data_source": source}))
    return run_comparison("daily_adapter_comparison_flow", grid, max_failed, how)


@flow(name="weekly_parameter_sweep_flow")
def weekly_parameter_sweep_flow(
    data_source: str | list[str] | None = None,
    adapter_type: AdapterType = parameter.WEEKLY_ADAPTER_TYPE,
    eps_values: list[Eps] | Literal["auto"] = list(parameter.WEEKLY_EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[MinSamples] = list(parameter.WEEKLY_MIN_SAMPLES_VALUES),  # noqa: B006
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
) -> SweepResult:
    """Sweep 9 eps values, from a street corner to a district, by 6 of min_samples.

    Args:
        data_source: Object key of a month; if not set, the latest yellow month in the store.

    Errors are those of `flows.parameter_sweep.parameter_sweep_flow`, which also resumes a weekly sweep that stopped.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = grid_of({**locals(), "data_source": _source_or_latest(data_source, use_minio)})
    return run_sweep("weekly_parameter_sweep_flow", grid, max_failed, how)


def _source_or_latest(data_source: str | list[str] | None, use_minio: bool) -> str | list[str]:
    if data_source is not None:
        return data_source
    if not use_minio:
        raise ParameterError(
            "data_source is None, which means the latest month of the object store, but use_minio is False: name a "
            "path, or leave use_minio True."
        )
    settings = load_settings()
    latest = latest_month(open_store(settings), settings)
    print(f"data_source {latest.key}: the latest {latest.service} month in bucket {settings.data_bucket}")  # noqa: T201
    return latest.key
