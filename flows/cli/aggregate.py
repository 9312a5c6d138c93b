"""`aggregate`: statistics of what the last days recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.common import TaxiCommand
from flows.cli.launch import check_prefect, launch
from flows.cli.report import check_report, finish, output_options

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
        click.Option(
            ["--days"], type=int, default=7, show_default=True, help="Days to look back, today (UTC) included."
        ),
        click.Option(["--seed"], type=int, default=0, show_default=True, help="Of the bootstrap."),
        *output_options(),
    ],
    callback=_aggregate,
    help="Statistics, paired tests and trends of the experiments of the last days.",
)
