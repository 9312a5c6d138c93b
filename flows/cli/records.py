"""`records ls|show`: what experiments left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flows.cli.common import Row, TaxiGroup, print_models, print_rows, stdout_console

if TYPE_CHECKING:
    from flows.model import ExperimentRecord

COLUMNS = ("id", "created", "flow", "source", "adapter", "eps_km", "min_samples", "used", "clusters", "noise", "score")


@click.group(cls=TaxiGroup)
def records() -> None:
    """Records of experiments: list, show."""


@records.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Newest records to list.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of whole records.")
def ls(limit: int, as_json: bool) -> None:
    """List records, the newest first."""
    from flows.records import list_records
    from flows.settings import load_settings
    from flows.store import open_store

    settings = load_settings()
    found = list_records(open_store(settings), settings, limit=limit)
    if as_json:
        print_models(found)
    else:
        print_rows(COLUMNS, [_row(record) for record in found], as_json=False)


@records.command()
@click.argument("record_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON and nothing else.")
def show(record_id: str, as_json: bool) -> None:
    """Show one record."""
    from flows.records import read_record
    from flows.settings import load_settings
    from flows.store import open_store

    settings = load_settings()
    store = open_store(settings)
    record = read_record(store, settings, record_id)
    if as_json:
        click.echo(record.model_dump_json(indent=2))
        return
    from flows.steps.report import render

    render(record, stdout_console(), store.location(settings.experiments_bucket, record.key))


def _row(record: ExperimentRecord) -> Row:
    first, *others = record.spec.data_source
    return {
        "id": record.id,
        "created": record.created.isoformat(timespec="seconds"),
        "flow": record.flow,
        "source": f"{first} and {len(others)} more" if others else first,
        "adapter": record.spec.adapter_type,
        "eps_km": record.spec.eps,
        "min_samples": record.spec.min_samples,
        "used": record.points.used,
        "clusters": record.clustering.n_clusters,
        "noise": record.clustering.noise_ratio.value,
        "score": record.overall_score.value,
    }
