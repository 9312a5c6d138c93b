"""`records ls|show`: what a run left behind can be read again."""

from __future__ import annotations

from click.testing import CliRunner, Result

from flows.cli import main


def records(*args: str) -> Result:
    return CliRunner().invoke(main, ["records", *args])


def test_a_fresh_store_has_no_records() -> None:
    assert records("ls", "--json").stdout == "[]\n"
    assert records("ls").exit_code == 0


def test_a_record_that_is_not_there_is_named() -> None:
    done = records("show", "nothing")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "nothing" in done.stderr


def test_the_limit_is_a_number_of_records() -> None:
    assert records("ls", "--limit", "0").exit_code == 2
