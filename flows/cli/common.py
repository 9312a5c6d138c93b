"""What all commands share: how errors end them, and how they print."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from flows.core.errors import TaxiFlowsError
from flows.core.refusals import refusals_told
from flows.core.text import escape_what_it_can_not_write, printable, printable_lines

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from flows.datasets.download import Progress

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]
"""One line of a printed list."""


class TaxiCommand(click.Command):
    """A command whose errors end in one message on stderr and an exit code, without a traceback."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command; TAXI_DEBUG=1 adds the traceback to a message."""
        for stream in (sys.stdout, sys.stderr):
            escape_what_it_can_not_write(stream)
        try:
            with refusals_told():
                super().invoke(ctx)
        except TaxiFlowsError as error:
            _fail(str(error), error.exit_code)
        except BrokenPipeError:
            # The reader has seen enough (`| head`); what is buffered must not fail again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "flows":
                raise
            _fail(f"{error.name} is not installed. Run: pip install 'taxi-flows[evaluation]'", 1)
        except RuntimeError as error:
            if "home directory" not in str(error):  # as pathlib says it, for libraries that look for their settings
                raise
            _fail("HOME is not set, and this user has no home directory. Set HOME (and TAXI_STORE_DIR, if need be).", 2)
        except KeyboardInterrupt:
            click.echo("\nStopped by Ctrl-C.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


class TaxiGroup(click.Group):
    """A group of such commands."""

    command_class = TaxiCommand
    group_class = type


def debugging() -> bool:
    """Whether TAXI_DEBUG asks for tracebacks."""
    return os.environ.get("TAXI_DEBUG", "") not in {"", "0", "false"}


def print_error(message: str) -> None:
    """Print one message on stderr."""
    if debugging():
        traceback.print_exc()
    echo(f"{click.style('error:', fg='red', bold=True)} {printable_lines(message)}", err=True)


def echo(text: str, *, err: bool = False) -> None:
    """Print, with colours on a terminal alone, and without where NO_COLOR is set."""
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)


def _fail(message: str, exit_code: int) -> NoReturn:
    print_error(message)
    raise click.exceptions.Exit(exit_code)


def stdout_console(pipe_width: int | None = None) -> Console:
    """A rich console on stdout: plain in a pipe or with NO_COLOR; a closed pipe raises BrokenPipeError.

    Args:
        pipe_width: columns of a line where stdout is no terminal.
    """
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise  # rich calls this while it handles the BrokenPipeError

    # Names of files may hold [brackets] or :colons:, which rich takes for styles and pictures.
    return _Console(width=None if sys.stdout.isatty() else pipe_width, markup=False, emoji=False)


def print_rows(columns: Sequence[str], rows: Sequence[Row], *, as_json: bool) -> None:
    """Print a list: as one JSON list, or as a table of the columns.

    Args:
        columns: names of the columns of the table, keys of the rows.
        rows: one mapping per line; JSON prints all keys.
        as_json: whether to print JSON.
    """
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column.replace("_", " "), overflow="fold", justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    stdout_console(pipe_width=1000).print(table)


def print_models(models: Sequence[BaseModel]) -> None:
    """Print models as one JSON list."""
    click.echo(f"[{', '.join(model.model_dump_json(indent=2) for model in models)}]")


def _text(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else printable(value)


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the block runs: options that are settings."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def download_progress() -> Iterator[Progress]:
    """A progress bar on stderr where that is a terminal, else silence."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        tasks = {}

        def tell(name: str, done: int, whole: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(printable(name), total=whole)
            bar.update(tasks[name], completed=done)

        yield tell
