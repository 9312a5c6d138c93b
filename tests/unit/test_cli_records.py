"""`records ls|show`: what a run left behind can be read again."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from flows.cli import main


def records(*args: str) -> Result:
    return CliRunner().invoke(main, ["records", *args])


def test_a_fresh_store_has_no_records() -> None:
    assert records("ls", "--json").stdout == "[]\n"
    assert records("ls").exit_code == 0


@pytest.mark.parametrize(("record_id", "exit_code"), [("20260131T020304Z-ab12cd34", 1), ("nothing", 2)])
def test_a_record_that_is_not_there_is_named(record_id: str, exit_code: int) -> None:
    done = records("show", record_id)
    assert done.exit_code == exit_code
    assert done.stdout == ""
    assert record_id in done.stderr
    assert "records ls" in done.stderr


def test_the_limit_is_a_number_of_records() -> None:
    assert records("ls", "--limit", "0").exit_code == 2
