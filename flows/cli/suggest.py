"""`suggest`: eps values from how close the trips lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from flows.cli.options import DataCommand, DataOptions, data_options, source_argument
from flows.cli.sweeps import checked_grid, min_samples_values

if TYPE_CHECKING:
    from flows.model.spec import ExperimentSpec
    from flows.model.sweeps import KDistances


def _suggest(
    data_source: tuple[str, ...], min_samples_values: tuple[int, ...], data: DataOptions, as_json: bool
) -> None:
    from flows.model.sweep_parameters import data_spec

    grid = checked_grid(data_source, ("sklearn",), ("auto",), min_samples_values, "overall_score", data, yes=False)
    found = _k_distances(data_spec(grid), grid.min_samples_values)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    click.echo(
        f"knee at {found.knee_m:.1f} m, of the distances of {found.sample_size:,} trips to their nearest {found.k}, "
        "each its own first"
    )
    if found.limit_m is not None:
        click.echo(
            f"above {found.limit_m:.0f} m one cluster holds more than half of the trips (min_samples {found.k}), so "
            "the values lie around that"
        )
    click.echo(f"--eps-values {' '.join(f'{eps:g}' for eps in found.eps_values)}")


def _k_distances(spec: ExperimentSpec, min_samples_values: Sequence[int]) -> KDistances:
    """The steps by themselves: no server, no flow run, no record."""
    from flows.cli.prefect_home import prefect_home
    from flows.core.settings import load_settings

    load_settings()
    prefect_home()  # before Prefect is imported, which needs to know it
    from flows.runtime.context import open_run
    from flows.steps.suggest import suggest as step
    from flows.tasks import ingest, prepare

    with open_run("suggest", None, spec, judges=False, records=False) as run:
        points = prepare.fn(run, ingest.fn(run))
        return step(points, min_samples_values, spec.seed, run.n_jobs)


suggest = DataCommand(
    "suggest",
    params=[
        source_argument(),
        min_samples_values(),
        *data_options(),
        click.Option(
            ["--json", "as_json"], is_flag=True, help="Print knee, values and curve as JSON and nothing else."
        ),
    ],
    callback=_suggest,
    help="Suggest eps values for a sweep.",
)
