"""Sweeps, comparisons and aggregates as tables in the terminal, or as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.core.text import printable, printable_lines
from flows.model.metric import Metric
from flows.model.ranking import METRICS
from flows.model.records import DIFFERING_NOTE, ONE_BLOB_NOTE, FileFingerprint
from flows.model.sweeps import AggregateRecord, Agreement, Cell, ComparisonRecord, SweepRecord
from flows.report.terminal import in_all

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_TEXT_WIDTH = 140


def render_sweep(record: SweepRecord, console: Console, location: str) -> None:
    """Print the cells, which is the best and why, and where the record is."""
    table = _table(f"{record.flow} {record.id}: {_source(record.source)}")
    for name in ("", "eps km", "min samples", "clusters", "noise", "silhouette", "Davies- Bouldin", "fit s", "score"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("flag", overflow="fold")
    for place, cell in enumerate(record.cells):
        table.add_row("best" if place == record.best else "", *_cell(cell))
    console.print(table)
    _print(console, f"best by {record.spec.metric}: {record.best_reason}")
    _print_failures(record.cells, console)
    if any(cell.clustering and cell.clustering.one_blob for cell in record.cells):
        console.print(f"one blob: one cluster holds more than half of the trips; {ONE_BLOB_NOTE}", highlight=False)
    _print_notes(record, console)
    _print(console, f"record  {printable(location)}", soft_wrap=True)


def _print_notes(record: SweepRecord | ComparisonRecord, console: Console) -> None:
    """What is to be known of the trips."""
    if record.points.note:
        _print(console, record.points.note)
    if record.points.clocks:
        _print(console, f"clock: {record.points.clock}")
    if record.points.differing_rows:
        _print(console, f"{record.points.differing_rows:,} rows: {DIFFERING_NOTE}")
    _print_skipped(record, console)


def _print_skipped(record: SweepRecord | ComparisonRecord, console: Console) -> None:
    for file in record.source:
        if file.skipped.n:
            _print(console, f"skipped {file.skipped} of {printable(file.name)}")


def _print_failures(cells: Sequence[Cell], console: Console) -> None:
    for cell in cells:
        if cell.status == "failed":
            setting = f"{cell.adapter}, eps {cell.eps:g} km, min_samples {cell.min_samples}"
            _print(console, f"failed: {setting}: {cell.reason}")


def render_comparison(record: ComparisonRecord, console: Console, location: str) -> None:
    """Print each adapter against the first, cell by cell and over all."""
    table = _table(f"{record.flow} {record.id}: {_source(record.source)}")
    names = (
        "adapter",
        "eps km",
        "min samples",
        "clusters",
        "fit s",
        "peak MiB",
        "speed-up",
        "memory ratio",
        "ARI",
        "equal",
    )
    for name in names:
        table.add_column(name, justify="left" if name == "adapter" else "right", overflow="fold")
    agreements = {(one.adapter, one.eps, one.min_samples): one for one in record.by_cell}
    for cell in record.cells:
        against = agreements.get((cell.adapter, cell.eps, cell.min_samples))
        table.add_row(cell.adapter, f"{cell.eps:g}", str(cell.min_samples), *_cost(cell), *_agreement(against))
    table.add_section()
    for one in record.overall:
        table.add_row(one.adapter, "all", "", "", "", "", *_agreement(one))
    console.print(table)
    _print_failures(record.cells, console)
    undefined = {metric.reason for one in record.overall for metric in (one.speed_up, one.memory_ratio)}
    for reason in sorted(filter(None, undefined)):
        _print(console, reason)
    _print_notes(record, console)
    _print(console, f"record  {printable(location)}", soft_wrap=True)


def render_aggregate(record: AggregateRecord, console: Console, location: str) -> None:
    """Print the statistics of each group, the tests and the trends."""
    title = f"{record.n_records:,} experiments, {record.first_day} to {record.last_day} (UTC)"
    table = _table(title)
    for name in (
        "adapter",
        "eps km",
        "min samples",
        "metric",
        "n",
        "undefined",
        "mean",
        "median",
        "sd",
        "95 % interval",
    ):
        table.add_column(name, justify="left" if name in {"adapter", "metric"} else "right", overflow="fold")
    for group in record.groups:
        for one in group.statistics:
            interval = "-" if one.low is None or one.high is None else f"{one.low:.4g} .. {one.high:.4g}"
            table.add_row(
                group.adapter, f"{group.eps:g}", str(group.min_samples), one.metric, str(one.n), str(one.n_undefined),
                _number(one.mean), _number(one.median), _number(one.standard_deviation), interval,
            )  # fmt: skip
        table.add_section()
    console.print(table)
    for test in record.tests:
        found = f"p = {test.p_value:.4g}" if test.p_value is not None else f"no test: {test.reason}"
        _print(
            console,
            f"{test.first} against {test.second}, {test.n_pairs} pairs, {test.test}: {found}; "
            f"median ratio of runtimes {_number(test.median_ratio)}",
        )
    for name in record.corrupt:
        _print(console, f"left out, corrupt: {printable(name)}")
    if record.n_older_schema:
        _print(console, f"left out, of another schema version: {record.n_older_schema}")
    _print(console, f"record  {printable(location)}", soft_wrap=True)


def sweep_text(record: SweepRecord, location: str) -> str:
    """What `render_sweep` prints, as plain text."""
    sink = _Sink()
    render_sweep(record, sink.console, location)
    return sink.text()


def comparison_text(record: ComparisonRecord, location: str) -> str:
    """What `render_comparison` prints, as plain text."""
    sink = _Sink()
    render_comparison(record, sink.console, location)
    return sink.text()


def aggregate_text(record: AggregateRecord, location: str) -> str:
    """What `render_aggregate` prints, as plain text."""
    sink = _Sink()
    render_aggregate(record, sink.console, location)
    return sink.text()


class _Sink:
    """A console that keeps plain text."""

    def __init__(self) -> None:
        from io import StringIO

        from rich.console import Console

        self._text = StringIO()
        self.console = Console(
            file=self._text, width=_TEXT_WIDTH, color_system=None, force_terminal=False, markup=False, emoji=False
        )

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._text.getvalue().splitlines())


def _print(console: Console, text: str, soft_wrap: bool = False) -> None:
    """Print words that may hold names and messages, as they are."""
    from rich.text import Text

    console.print(Text(printable_lines(text)), soft_wrap=soft_wrap)


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        box=box.SIMPLE, title=Text(printable(title)), title_justify="left", padding=(0, 1, 0, 0), pad_edge=False
    )


def _source(files: Sequence[FileFingerprint]) -> str:
    first = files[0].name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more ({in_all(files)})"


def _cell(cell: Cell) -> Sequence[RenderableType]:
    from rich.text import Text

    setting = (f"{cell.eps:g}", str(cell.min_samples))
    if cell.clustering is None:
        return (*setting, "-", "-", "-", "-", "-", "-", Text("failed", style="red"))
    names = ("noise_ratio", "silhouette", "davies_bouldin", "runtime_seconds", "overall_score")
    values = (_metric(METRICS[name].read(cell)) for name in names)
    return (
        *setting,
        f"{cell.clustering.n_clusters:,}",
        *values,
        Text("one blob" if cell.clustering.one_blob else "", style="yellow"),
    )


def _cost(cell: Cell) -> tuple[str, str, str]:
    if cell.clustering is None or cell.performance is None:
        return ("failed", "-", "-")
    peak = cell.performance.peak_memory_bytes.value
    mebibytes = "-" if peak is None else f"{peak / 2**20:,.1f}"
    return (f"{cell.clustering.n_clusters:,}", f"{cell.performance.runtime_seconds:.4g}", mebibytes)


def _agreement(one: Agreement | None) -> tuple[str, str, str, str]:
    if one is None:
        return ("", "", "", "")
    equal = "-" if one.equal is None else "yes" if one.equal else "NO"
    return (_metric(one.speed_up), _metric(one.memory_ratio), _metric(one.adjusted_rand), equal)


def _metric(metric: Metric) -> str:
    return _number(metric.value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
