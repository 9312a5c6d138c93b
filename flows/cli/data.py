"""`data put|ls|synth|check|fetch`: months of trips in and out of the object store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flows.cli.common import Row, TaxiGroup, download_progress, echo, print_error, print_models, print_rows
from flows.core.errors import SourceError
from flows.core.text import printable

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.steps.check import FileReport

FAILED = 1


@click.group(cls=TaxiGroup)
def data() -> None:
    """Months of trips: put, list, make up, check, download."""


@data.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--as", "key", metavar="KEY", help="Name of the object; by default the file's. For one file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def put(files: tuple[str, ...], key: str | None, as_json: bool) -> None:
    """Put local files into the object store. Files that are there already, by size and checksum, are left out."""
    from flows.core.settings import load_settings
    from flows.datasets.upload import keys_of, put_file
    from flows.store import open_store

    settings = load_settings()
    keyed = keys_of(files, key, settings)
    store = open_store(settings)
    rows: list[Row] = []
    with download_progress() as progress:
        for object_key, file in keyed.items():
            put = put_file(store, settings.data_bucket, object_key, file, progress)
            rows.append({"key": put.key, "size_bytes": put.size_bytes, "put": put.sent})
    print_rows(("key", "size_bytes", "put"), rows, as_json=as_json)


@data.command()
@click.argument("prefix", default="")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(prefix: str, as_json: bool) -> None:
    """List the objects whose key begins with PREFIX."""
    from flows.core.settings import load_settings
    from flows.datasets.names import shorten
    from flows.store import key_fault, open_store

    settings = load_settings()
    listed = list(open_store(settings).list(settings.data_bucket, prefix))
    objects = [found for found in listed if key_fault(found.key) is None]
    passed_over = [repr(found.key) for found in listed if key_fault(found.key) is not None]
    if passed_over:
        echo(f"passed over, as no data source can have such a name: {shorten(passed_over)}", err=True)
    rows: list[Row] = [
        {"key": found.key, "size_bytes": found.size_bytes, "modified": found.modified.isoformat(timespec="seconds")}
        for found in objects
    ]
    print_rows(("key", "size_bytes", "modified"), rows, as_json=as_json)


@data.command()
@click.option("--rows", default=20_000, show_default=True, help="Trips to make up.")
@click.option("--seed", default=0, show_default=True, help="Of every random choice.")
@click.option("--month", default="2016-01", show_default=True, metavar="YYYY-MM", help="Month of the pick-ups.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def synth(rows: int, seed: int, month: str, as_json: bool) -> None:
    """Make up a month of yellow trips with coordinates and put it into the object store."""
    from flows.core.settings import load_settings
    from flows.datasets.synthetic import put_synthetic_month
    from flows.store import open_store

    settings = load_settings()
    key = put_synthetic_month(settings, open_store(settings), rows, seed, month)
    print_rows(("key", "rows"), [{"key": key, "rows": rows}], as_json=as_json)


@data.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--minio/--no-minio", "use_minio", default=False, help="FILE names objects of the store, or local files.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def check(files: tuple[str, ...], use_minio: bool, as_json: bool) -> None:
    """Say what files are, what is in them and what would be dropped, without clustering.

    A file that `run` would refuse is named on stderr; the command then ends with 1.
    """
    from flows.core.settings import load_settings

    settings = load_settings()
    reports: list[FileReport] = []
    refused = 0
    for file in files:
        try:
            reports += _check(file, use_minio, settings)
        except SourceError as error:
            print_error(str(error))
            refused += 1
    if as_json:
        print_models(reports)
    else:
        for report in reports:
            click.echo("\n".join(map(printable, _report_lines(report))))
    if refused:
        raise click.exceptions.Exit(FAILED)


def _check(file: str, use_minio: bool, settings: Settings) -> list[FileReport]:
    """Reports of one file, or of the files that a glob names."""
    from flows.core.progress import terminal_progress
    from flows.datasets.sources import resolve, zone_table_or_fault
    from flows.model.parameters import experiment_spec
    from flows.steps.check import check_file
    from flows.store import open_store

    store = open_store(settings)
    zones, zone_fault = zone_table_or_fault(settings, store)
    zone_ids = None if zones is None else frozenset(zones.ids.tolist())
    with resolve(experiment_spec(file, use_minio=use_minio), settings, store) as found:
        reports = [check_file(one, settings, zone_ids, terminal_progress()) for one in found]
    if zone_fault is not None and any(report.kind == "zones" for report in reports):
        raise zone_fault
    return reports


def _report_lines(report: FileReport) -> Iterator[str]:
    times = "with times" if report.has_times else "without times"
    yield f"{report.name}: {report.dialect} ({report.service}), {report.rows:,} rows, {report.kind}, {times}"
    if report.truncated_last_line:
        yield "  the last line is cut off: `run` refuses the file without --skip-truncated"
    if report.bad_rows.n:
        yield f"  {report.bad_rows}: `run` refuses the file without --skip-bad-rows {report.bad_rows.n}"
    for end in report.ends:
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in end.dropped.items())
        yield f"  {end.end}: {end.used:,} used, dropped: {dropped}"
    known = ", ".join(f"{column.name.strip()} ({column.role})" for column in report.columns if column.role is not None)
    others = ", ".join(column.name.strip() for column in report.columns if column.role is None)
    yield f"  columns known: {known}"
    yield f"  other columns: {others or 'none'}"


@data.command()
@click.argument("service", metavar="yellow|green|fhv|fhvhv")
@click.argument("months", nargs=-1, required=True, metavar="YYYY-MM...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def fetch(service: str, months: tuple[str, ...], as_json: bool) -> None:
    """Download months of trips, and the zone table, from TLC into the object store."""
    from flows.core.settings import load_settings
    from flows.datasets.fetch import Fetched, check_month, fetch_month
    from flows.store import open_store

    for month in months:
        check_month(service, month)
    settings = load_settings()
    store = open_store(settings)
    fetched: dict[str, Fetched] = {}
    with download_progress() as progress:
        for month in months:
            for found in fetch_month(service, month, settings, store, progress):
                fetched.setdefault(found.key, found)
    print_rows(("key", "size_bytes", "downloaded"), [asdict(one) for one in fetched.values()], as_json=as_json)
