"""What goes wrong again and again is said once."""

from __future__ import annotations

import logging
import time

import pytest

from flows.operator import faults
from flows.operator.faults import Faults


def test_each_kind_is_said_once_whatever_its_words_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    said = Faults()
    said.over("a", "a is well")
    for number in range(3):
        said.tell("a", f"a {number}")
        said.tell("b", f"b {number}\n\n{'x' * 5000}")
    said.over("a", "a is well")
    said.tell("a", "a again")
    assert [one[:7] for one in caplog.messages] == ["a 0", "b 0 xxx", "a is we", "a again"]
    assert max(map(len, caplog.messages)) == 1000


def test_what_lasts_is_said_again(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Faults()
    said.tell("a", "one")
    later = time.monotonic() + faults.REPEAT_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    said.tell("a", "two")
    assert caplog.messages == ["one", "two"]
