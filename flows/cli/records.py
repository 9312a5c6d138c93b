"""`records ls|show`: what experiments left behind."""

from __future__ import annotations

import click

from flows.cli.common import TaxiGroup, print_rows, stdout_console

COLUMNS = ("id", "created", "flow", "source", "adapter", "eps_km", "min_samples", "clusters", "noise", "score")


@click.group(cls=TaxiGroup)
def records() -> None:
    """Records of experiments: list, show."""


@records.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Newest records to list.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of whole records.")
def ls(limit: int, as_json: bool) -> None:
    """List records, the newest first."""


@records.command()
@click.argument("record_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON and nothing else.")
def show(record_id: str, as_json: bool) -> None:
    """Show one record."""
