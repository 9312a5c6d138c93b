"""`aggregate`: statistics of what the last days recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.common import TaxiCommand
from flows.cli.launch import check_prefect, launch
from flows.cli.options import parameter_option
from flows.cli.report import check_report, finish, output_options
from flows.model import parameter

if TYPE_CHECKING:
    from flows.runtime.sweep_result import AggregateResult


def _aggregate(days: int, seed: int, as_json: bool, report: Path | None) -> None:
    from datetime import UTC, datetime

    from flows.core.settings import load_settings
    from flows.records.period import last_days

    last_days(days, datetime.now(UTC).date())
    check_report(report)
    check_prefect(load_settings())

    def load() -> Callable[[], AggregateResult]:
        from flows.aggregate_results import aggregate_results_flow

        return lambda: aggregate_results_flow(days=days, seed=seed)

    result = launch(load)
    finish(result.record, result.location, as_json, report)


aggregate = TaxiCommand(
    "aggregate",
    params=[
        parameter_option("--days", int, default=parameter.DAYS),
        parameter_option("--seed", int, default=0),
        *output_options(),
    ],
    callback=_aggregate,
    help="Statistics, paired tests and trends of the experiments of the last days.",
)
