"""`report`, and what becomes of a record: a table or JSON on stdout, and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.common import TaxiCommand, stdout_console
from flows.cli.outputs import check_file, writing
from flows.core.text import printable

if TYPE_CHECKING:
    from flows.records.find import AnyRecord

SUFFIXES = (".html", ".htm")

_PIPE_WIDTH = 140


def output_options() -> list[click.Parameter]:
    """What becomes of the result of a flow."""
    file = click.Path(dir_okay=False, path_type=Path)
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print the record as JSON and nothing else."),
        click.Option(["--report"], type=file, metavar="FILE.html", help="Write the report as a page, too."),
    ]


def check_report(file: Path | None) -> None:
    """Refuse a report that can't be written, before hours of work.

    Raises:
        ParameterError: another suffix, no such folder, or no permission.
    """
    check_file("--report", file, SUFFIXES)


def finish(record: AnyRecord, location: str, as_json: bool, report: Path | None) -> None:
    """Write the report asked for, then print the record."""
    if report is not None:
        with writing(report, location):
            write_page(record, report)
    if as_json:
        click.echo(record.model_dump_json(indent=2))
    else:
        show(record, location)


def show(record: AnyRecord, location: str) -> None:
    """Print a record of any kind as its table."""
    from flows.model.records import ExperimentRecord
    from flows.model.sweeps import ComparisonRecord, SweepRecord
    from flows.report.terminal import render
    from flows.report.terminal_sweeps import render_aggregate, render_comparison, render_sweep

    console = stdout_console(pipe_width=_PIPE_WIDTH)
    if isinstance(record, ExperimentRecord):
        render(record, console, location)
    elif isinstance(record, SweepRecord):
        render_sweep(record, console, location)
    elif isinstance(record, ComparisonRecord):
        render_comparison(record, console, location)
    else:
        render_aggregate(record, console, location)


def write_page(record: AnyRecord, path: Path) -> None:
    """Write the report of a record, with what the store has beside it."""
    from flows.core.settings import load_settings
    from flows.report.gather import gather
    from flows.report.page import write_report
    from flows.store import open_store

    settings = load_settings()
    write_report(path, gather(record, open_store(settings), settings))


@click.command(cls=TaxiCommand)
@click.argument("record_id", metavar="ID|latest")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE.html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page; it needs no network.",
)
def report(record_id: str, output: Path) -> None:
    """Write the report of an experiment, sweep, comparison or aggregate."""
    from flows.core.settings import load_settings
    from flows.records.find import find_record, latest_record
    from flows.store import open_store

    check_file("--output", output, SUFFIXES)
    settings = load_settings()
    store = open_store(settings)
    found = latest_record(store, settings) if record_id == "latest" else find_record(store, settings, record_id)
    write_page(found.record, output)
    click.echo(f"{printable(str(output))}: {found.record.flow} {found.record.id}")
