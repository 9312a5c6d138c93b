"""Progress is drawn on a terminal's stderr, and nowhere else."""

from __future__ import annotations

import sys

import pytest

from flows.core.progress import NO_PROGRESS, BarProgress, terminal_progress


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = terminal_progress()
    progress.start(10, "Reading trips")
    progress.advance(10)
    progress.finish()
    assert progress is NO_PROGRESS
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [10, None])
def test_a_terminal_gets_a_bar_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, total: int | None
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    progress = terminal_progress()
    assert isinstance(progress, BarProgress)
    progress.start(total, "Reading trips")
    progress.advance(4)
    progress.finish()
    progress.finish()
    out, err = capsys.readouterr()
    assert out == ""
    assert "Reading trips" in err
    assert "4 rows" in err
