"""Progress of a long step: a bar on a terminal, nothing in a pipe. Steps know the protocol alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """What a step tells about its progress: start once, advance often, finish once, also after a failure."""

    def start(self, total_rows: int | None, label: str) -> None:
        """Begin; total_rows is None where it isn't known."""
        ...

    def advance(self, rows: int) -> None:
        """So many more rows are done."""
        ...

    def finish(self) -> None:
        """End."""
        ...


class NoProgress:
    """Shows nothing."""

    def start(self, total_rows: int | None, label: str) -> None:
        """Show nothing."""

    def advance(self, rows: int) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


class BarProgress:
    """A bar on stderr that goes away when it is finished."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def start(self, total_rows: int | None, label: str) -> None:
        """Draw the bar; without a total it counts rows."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.finish()
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} rows"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(label, total=total_rows)

    def advance(self, rows: int) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, rows)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None


NO_PROGRESS = NoProgress()


def terminal_progress() -> Progress:
    """A bar where stderr is a terminal, else nothing."""
    return BarProgress() if sys.stderr.isatty() else NO_PROGRESS
