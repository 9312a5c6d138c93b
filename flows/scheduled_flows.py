"""The runs of the night and of the week. They do the tasks of a comparison and of a sweep in their own flow run.

A nested flow would be a second run of the same work in Prefect's list, with a duration and a failure of its own.
"""

from __future__ import annotations

from typing import Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.compare_tasks import comparable, compare_cells, record_comparison
from flows.errors import ParameterError
from flows.grid import data_spec, grid_spec
from flows.latest import latest_month
from flows.run import open_run
from flows.settings import load_settings
from flows.store import open_store
from flows.sweep_result import ComparisonResult, SweepResult
from flows.sweep_tasks import check_max_failed, plan_sweep, record_sweep, sweep_cells
from flows.tasks import ingest, prepare, report

DAILY_ADAPTERS = ("sklearn", "sklearn_parallel")
DAILY_EPS_KM = 0.5
DAILY_MIN_SAMPLES = 5
WEEKLY_EPS_VALUES_KM = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
WEEKLY_MIN_SAMPLES_VALUES = (5, 10, 15, 25, 50, 100)


@flow(name="daily_adapter_comparison_flow", log_prints=True, validate_parameters=False)
def daily_adapter_comparison_flow(
    data_source: str | list[str] | None = None,
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: int | None = 100_000,
    use_minio: bool = True,
    seed: int = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: int = 0,
) -> ComparisonResult:
    """Compare sklearn and sklearn_parallel with the default setting: eps 0.5 km, min_samples 5.

    Args:
        data_source: None for the latest yellow month in the store (flows.latest); the run says which it is.

    Other parameters and errors are those of `flows.parameter_sweep.compare_adapters_sweep_flow`.
    """
    check_max_failed(max_failed)
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
    with open_run("daily_adapter_comparison_flow", flow_run.id, data_spec(grid), judges=True) as run:
        source = ingest(run)
        points = prepare(run, source)
        compared = compare_cells(run, source, points, grid)
        result = record_comparison(run, source, points, compared, max_failed)
        report(result)
        return result


@flow(name="weekly_parameter_sweep_flow", log_prints=True, validate_parameters=False)
def weekly_parameter_sweep_flow(
    data_source: str | list[str] | None = None,
    adapter_type: str = "grid",
    eps_values: list[float] | Literal["auto"] = list(WEEKLY_EPS_VALUES_KM),  # noqa: B006  (read, never changed)
    min_samples_values: list[int] = list(WEEKLY_MIN_SAMPLES_VALUES),  # noqa: B006
    metric: str = "overall_score",
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: int | None = None,
    use_minio: bool = True,
    seed: int = 0,
    hours: str | None = None,
    weekdays: str | None = None,
    max_failed: int = 0,
    allow_large: bool = False,
) -> SweepResult:
    """Sweep 9 eps values, from a street corner to a district, by 6 of min_samples.

    Args:
        data_source: None for the latest yellow month in the store (flows.latest); the run says which it is.

    Other parameters and errors are those of `flows.parameter_sweep.parameter_sweep_flow`, which also resumes a weekly
    sweep that stopped.
    """
    check_max_failed(max_failed)
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
    with open_run(
        "weekly_parameter_sweep_flow", flow_run.id, data_spec(grid), judges=True, adapters=grid.adapters
    ) as run:
        source = ingest(run)
        points = prepare(run, source)
        plan = plan_sweep(run, points, grid, None)
        cells = sweep_cells(run, source, points, plan)
        result = record_sweep(run, source, points, plan, cells, max_failed)
        report(result)
        return result


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
