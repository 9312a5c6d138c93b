"""A first look: makes a synthetic month, runs `evaluation_pipeline` on it and says where to look next.

`python scripts/quick_start_prefect.py`. The trips are made up; nothing is downloaded.
"""

import click

from flows.cli.common import TaxiCommand
from flows.cli.launch import check_prefect
from flows.cli.run import Output, finish, run_pipeline

# At the default radius of 0.5 km a synthetic city is one cluster; these find its stations and airports.
EPS_KM = 0.1
MIN_SAMPLES = 50


@click.command(cls=TaxiCommand)
@click.option("--rows", default=20_000, show_default=True, help="Trips to make up.")
@click.option("--adapter-type", default="sklearn", show_default=True, help="Implementation of DBSCAN.")
@click.option("--eps", default=EPS_KM, show_default=True, help="Radius of a neighbourhood, km.")
@click.option("--min-samples", default=MIN_SAMPLES, show_default=True, help="Trips that make a core point.")
@click.option("--seed", default=0, show_default=True, help="Of every random choice.")
def main(rows: int, adapter_type: str, eps: float, min_samples: int, seed: int) -> None:
    """Make a synthetic month, evaluate one clustering of it, and say where to look next."""
    from flows.core.settings import load_settings
    from flows.datasets.synthetic import put_synthetic_month
    from flows.model.parameters import experiment_spec
    from flows.store import open_store

    settings = load_settings()
    check_prefect(settings)
    key = put_synthetic_month(settings, open_store(settings), rows, seed, "2016-01")
    spec = experiment_spec(key, adapter_type=adapter_type, eps=eps, min_samples=min_samples, seed=seed)
    result = run_pipeline("evaluation_pipeline", spec)
    finish(result, Output(as_json=False, labels=None, clusters=None))
    click.echo("\nThese trips are made up. Where to look next:")
    click.echo(f"  taxi-flows records show {result.record.id}")
    click.echo(f"  taxi-flows evaluate {key} --eps {eps} --min-samples {min_samples} --clusters hot_spots.geojson")
    click.echo("  taxi-flows data fetch yellow 2025-09 && taxi-flows evaluate yellow_tripdata_2025-09.parquet")
    click.echo("  prefect server start, PREFECT_API_URL=http://127.0.0.1:4200/api: every run in Prefect's UI")


if __name__ == "__main__":
    main()
