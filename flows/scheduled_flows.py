"""The runs of the night and of the week. They do the tasks of a comparison and of a sweep in their own flow run.

A nested flow would be a second run of the same work in Prefect's list, with a duration and a failure of its own.
"""

from __future__ import annotations

from typing import Literal

from flows.core.errors import ParameterError
from flows.core.settings import load_settings
from flows.datasets.latest import latest_month
from flows.model.metric import Count
from flows.model.spec import MaxSamples, MinSamples, Seed
from flows.model.sweep_parameters import grid_spec
from flows.runtime.flow_decorator import flow
from flows.runtime.sweep_result import ComparisonResult, SweepResult
from flows.store import open_store
from flows.sweeps.chunks import fan_out
from flows.sweeps.compare_tasks import comparable
from flows.sweeps.execution import run_comparison, run_sweep
from flows.sweeps.sweep_tasks import check_max_failed

DAILY_ADAPTERS = ("sklearn", "sklearn_parallel")
DAILY_EPS_KM = 0.5
DAILY_MIN_SAMPLES = 5
WEEKLY_EPS_VALUES_KM = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
WEEKLY_MIN_SAMPLES_VALUES = (5, 10, 15, 25, 50, 100)


@flow(name="daily_adapter_comparison_flow")
def daily_adapter_comparison_flow(
    data_source: str | list[str] | None = None,
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: MaxSamples | None = 100_000,
    use_minio: bool = True,
    seed: Seed = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: Count = 0,
    max_parallel: Count = 4,
    cells_per_chunk: Count | None = None,
    chunk_attempts: Count = 2,
) -> ComparisonResult:
    """Compare sklearn and sklearn_parallel with the default setting: eps 0.5 km, min_samples 5.

    Args:
        data_source: None for the latest yellow month in the store (flows.datasets.latest); the run says which it is.

    Other parameters and errors are those of `flows.parameter_sweep.compare_adapters_sweep_flow`.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = comparable(
        grid_spec(
            _source_or_latest(data_source, use_minio),
            DAILY_ADAPTERS,
            [DAILY_EPS_KM],
            [DAILY_MIN_SAMPLES],
            coordinate_type=coordinate_type,
            use_location_ids=use_location_ids,
            max_samples=max_samples,
            use_minio=use_minio,
            seed=seed,
            hours=hours,
            weekdays=weekdays,
        )
    )
    return run_comparison("daily_adapter_comparison_flow", grid, max_failed, how)


@flow(name="weekly_parameter_sweep_flow")
def weekly_parameter_sweep_flow(
    data_source: str | list[str] | None = None,
    adapter_type: str = "grid",
    eps_values: list[float] | Literal["auto"] = list(WEEKLY_EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[MinSamples] = list(WEEKLY_MIN_SAMPLES_VALUES),  # noqa: B006
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
) -> SweepResult:
    """Sweep 9 eps values, from a street corner to a district, by 6 of min_samples.

    Args:
        data_source: None for the latest yellow month in the store (flows.datasets.latest); the run says which it is.

    Other parameters and errors are those of `flows.parameter_sweep.parameter_sweep_flow`, which also resumes a weekly
    sweep that stopped.
    """
    check_max_failed(max_failed)
    how = fan_out(max_parallel, cells_per_chunk, chunk_attempts)
    grid = grid_spec(
        _source_or_latest(data_source, use_minio),
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
