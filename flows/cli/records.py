"""`records ls|show|diff|export`: what experiments left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from flows.cli.common import Row, TaxiGroup, echo, print_models, print_rows
from flows.cli.outputs import check_file
from flows.cli.report import show as show_record
from flows.core.errors import ParameterError
from flows.core.text import printable

if TYPE_CHECKING:
    from flows.model.metric import Metric
    from flows.model.records import ExperimentRecord
    from flows.records.period import PeriodRecords
    from flows.runtime.diff import RecordDiff

COLUMNS = ("id", "created", "flow", "source", "adapter", "eps_km", "min_samples", "used", "clusters", "noise", "score")
FORMATS: tuple[Literal["csv"], Literal["parquet"]] = ("csv", "parquet")

Command = TypeVar("Command", bound=Callable[..., None])


def _filters(command: Command) -> Command:
    """The options that choose records."""
    for option in (
        click.option("--source", metavar="NAME", help="Of this source; a glob such as 'yellow_*.parquet', too."),
        click.option("--adapter", metavar="NAME", help="Of this adapter."),
        click.option("--since", metavar="YYYY-MM-DD", help="From this date (UTC) on."),
    ):
        command = option(command)
    return command


@click.group(cls=TaxiGroup)
def records() -> None:
    """Records of experiments: list, show, compare, export."""


@records.command()
@_filters
@click.option("--sort", metavar="METRIC", help="The best by this metric first, such as overall_score; else the newest.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, sys.maxsize), help="Records to list.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of whole records.")
def ls(since: str | None, adapter: str | None, source: str | None, sort: str | None, limit: int, as_json: bool) -> None:
    """List records, the newest first."""
    found = _browse(since, adapter, source, sort, limit)
    if as_json:
        print_models(found.records)
        return
    shown = COLUMNS if sort is None or sort == "overall_score" else (*COLUMNS, sort)
    print_rows(shown, [_row(record, sort) for record in found.records], as_json=False)


@records.command()
@click.argument("record_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON and nothing else.")
def show(record_id: str, as_json: bool) -> None:
    """Show one record: of an experiment, sweep, comparison or aggregate."""
    from flows.core.settings import load_settings
    from flows.records.find import find_record
    from flows.store import open_store

    settings = load_settings()
    found = find_record(open_store(settings), settings, record_id)
    if as_json:
        click.echo(found.record.model_dump_json(indent=2))
    else:
        show_record(found.record, found.location)


@records.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON and nothing else.")
def diff(first: str, second: str, as_json: bool) -> None:
    """What differs between two experiments.

    How far their labels agree (adjusted Rand) is found by clustering again, where both used the same points and the
    source is still there.
    """
    from flows.core.settings import load_settings
    from flows.records.storage import read_record
    from flows.runtime.diff import diff as compare
    from flows.store import open_store

    settings = load_settings()
    store = open_store(settings)
    found = compare(read_record(store, settings, first), read_record(store, settings, second), store, settings)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    print_rows(("", "A", "B", "B - A"), list(_diff_rows(found)), as_json=False)
    agreement = found.adjusted_rand
    click.echo(
        f"adjusted Rand  {printable(str(agreement.reason)) if agreement.value is None else f'{agreement.value:.4f}'}"
    )


@records.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By default that of the name.")
@_filters
def export(file: Path, form: str | None, since: str | None, adapter: str | None, source: str | None) -> None:
    """Write records into one flat table, the newest first."""
    from flows.records.flat import export_records

    chosen = next((known for known in FORMATS if known == (form or file.suffix.lower().lstrip("."))), None)
    if chosen is None:
        raise ParameterError(f"FILE is {str(file)!r}: end it in .csv or .parquet, or say which with --format.")
    check_file("FILE", file, (file.suffix.lower(),))
    found = _browse(since, adapter, source, sort=None, limit=None)
    if not found.records:
        raise ParameterError("no record matches: `taxi-flows records ls` lists those that are there.")
    export_records(found.records, file, chosen)
    click.echo(f"{printable(str(file))}: {len(found.records):,} records")


def _browse(
    since: str | None, adapter: str | None, source: str | None, sort: str | None, limit: int | None
) -> PeriodRecords:
    """Read records; those that can't be read are named on stderr."""
    from flows.core.settings import load_settings
    from flows.records.browse import Query, browse
    from flows.store import open_store

    settings = load_settings()
    found = browse(open_store(settings), settings, Query(since, adapter, source, sort, limit))
    if found.n_older_schema:
        echo(f"left out: {found.n_older_schema} of another schema version", err=True)
    for key in found.corrupt:
        echo(f"left out: {printable(key)} is no record", err=True)
    return found


def _row(record: ExperimentRecord, sort: str | None) -> Row:
    from flows.model.ranking import METRICS

    first, *others = record.spec.data_source
    value = None if sort is None else METRICS[sort].read(record).value
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
        **({} if sort is None else {sort: value}),
    }


def _diff_rows(found: RecordDiff) -> Iterator[Row]:
    yield {"": "id", "A": found.first, "B": found.second, "B - A": ""}
    for one in found.parameters:
        yield {"": one.name, "A": one.first, "B": one.second, "B - A": ""}
    for pair in found.metrics:
        name = f"{pair.name}, {pair.unit}" if pair.unit else pair.name
        difference = "" if pair.difference is None else f"{pair.difference:+.4g}"
        yield {"": name, "A": _metric(pair.first), "B": _metric(pair.second), "B - A": difference}


def _metric(metric: Metric) -> str:
    return f"undefined: {metric.reason}" if metric.value is None else f"{metric.value:.6g}"
