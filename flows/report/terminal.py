"""Report: a record as a table in the terminal, or as plain text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flows.core.text import printable
from flows.datasets.names import months_in_words
from flows.model.metric import Metric
from flows.model.records import DIFFERING_NOTE, ExperimentRecord, FileFingerprint

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Line = tuple[str, str]

_TEXT_WIDTH = 120
_FILES_SHOWN = 6


def render(record: ExperimentRecord, console: Console, location: str | None = None) -> None:
    """Print the table, and below it where the record is, in one piece however long.

    Args:
        console: colours only a terminal, and not with NO_COLOR.
        location: of the record, for people; its key by default.
    """
    from rich.text import Text

    console.print(result_table(record))
    console.print(Text(f"record  {printable(location or record.key)}"), soft_wrap=True)


def in_all(files: Sequence[FileFingerprint]) -> str:
    """How many files, rows and months a source became, and which of its files are copies."""
    n_files = f"{len(files):,} file{'s' * (len(files) != 1)}"
    months = months_in_words([file.name for file in files])
    names = defaultdict[str, list[str]](list)
    for file in files:
        names[file.sha256].append(file.name)
    alike = "".join(f"; the same bytes: {', '.join(same)}" for same in names.values() if len(same) > 1)
    return ", ".join(filter(None, (n_files, f"{sum(file.rows for file in files):,} rows", months))) + alike


def to_text(record: ExperimentRecord, location: str | None = None) -> str:
    """What `render` prints, as plain text."""
    from io import StringIO

    from rich.console import Console

    sink = StringIO()
    console = Console(file=sink, width=_TEXT_WIDTH, color_system=None, force_terminal=False, markup=False, emoji=False)
    render(record, console, location)
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines())


def result_table(record: ExperimentRecord) -> Table:
    """The record as a table of names and values."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title=f"{record.flow} {record.id}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for section in (_source, _points, _clustering, _quality, _cost):
        for name, value in section(record):
            # Names of files may hold brackets, which are markup in a str.
            table.add_row(name, Text(printable(value), style="bold yellow" if name == "flag" else ""))
        table.add_section()
    return table


def _source(record: ExperimentRecord) -> Iterator[Line]:
    files = record.source
    for file in files[:_FILES_SHOWN]:
        yield "source", f"{file.name} ({file.dialect}, {file.rows:,} rows)"
        if file.skipped.n:
            yield "skipped", f"{file.skipped} of {file.name}"
    if len(files) > _FILES_SHOWN:
        yield "source", f"and {len(files) - _FILES_SHOWN} more files"
    if len(files) > 1:
        yield "in all", in_all(files)
    spec = record.spec
    yield "ends", spec.coordinate_type
    chosen = [f"hours {spec.hours}"] if spec.hours is not None else []
    chosen += [f"weekdays {spec.weekdays}"] if spec.weekdays is not None else []
    if chosen:
        yield "picked up", ", ".join(chosen)
    if record.points.clocks:
        yield "clock", record.points.clock


def _points(record: ExperimentRecord) -> Iterator[Line]:
    points, spec = record.points, record.spec
    yield "rows", f"{points.rows:,}"
    drawn = f" (at most {spec.max_samples:,}, drawn with seed {spec.seed})" if spec.max_samples is not None else ""
    yield "used points", f"{points.used:,}{drawn}"
    yield "unique points", f"{points.unique:,}"
    yield "dropped", ", ".join(f"{count:,} {reason}" for reason, count in points.dropped.items() if count) or "none"
    if points.differing_rows:
        yield "differing", f"{points.differing_rows:,} rows: {DIFFERING_NOTE}"
    if points.note is not None:
        yield "note" if points.positions == "zones" else "flag", points.note


def _clustering(record: ExperimentRecord) -> Iterator[Line]:
    spec, counts = record.spec, record.clustering
    yield "adapter", f"{spec.adapter_type}, {_jobs(record.performance.n_jobs)}"
    yield "eps", f"{spec.eps:g} km"
    yield "min_samples", f"{spec.min_samples:,}"
    yield "clusters", f"{counts.n_clusters:,}"
    yield "core / border / noise", f"{counts.n_core:,} / {counts.n_border:,} / {counts.n_noise:,}"
    yield "noise ratio", _number(counts.noise_ratio, ".2%")
    yield "largest share", _number(counts.largest_cluster_share, ".2%")
    if counts.one_blob:
        yield "flag", f"one blob: {counts.note}"


def _quality(record: ExperimentRecord) -> Iterator[Line]:
    quality = record.quality
    if quality is not None:
        yield "silhouette", f"{_number(quality.silhouette)} (on {quality.silhouette_sample_size:,} sampled points)"
        yield "Davies-Bouldin", _number(quality.davies_bouldin)
        yield "Calinski-Harabasz", _number(quality.calinski_harabasz, ",.1f")
    yield "overall score", _number(record.overall_score)


def _cost(record: ExperimentRecord) -> Iterator[Line]:
    cost = record.performance
    yield "fit", f"{cost.runtime_seconds:.3f} s, {cost.cpu_seconds:.3f} s of CPU"
    yield "points per second", _number(cost.points_per_second, ",.0f")
    peak = cost.peak_memory_bytes
    yield "peak memory of fit", f"{peak.value / 2**20:,.1f} MiB" if peak.value is not None else _number(peak)
    yield "seconds by step", ", ".join(f"{step} {seconds:.2f}" for step, seconds in record.timings.items())


def _jobs(n_jobs: int) -> str:
    return "1 worker" if n_jobs == 1 else f"{n_jobs} workers"


def _number(metric: Metric, form: str = ".4f") -> str:
    return f"undefined: {metric.reason}" if metric.value is None else format(metric.value, form)
