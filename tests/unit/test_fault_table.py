"""The table of faults is made from what the tests on a cluster recorded, and has a row for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.cluster import test_faults, test_faults_platform
from tests.cluster.table import FAULTS, fault_table, read, table

CASE = """<testcase classname="tests.cluster.test_faults" name="test_{name}[{n}]" time="{time}">
<properties>
<property name="breaks" value="{name}"/><property name="becomes" value="Crashed"/>
<property name="bounded by" value="b"/>
{took}
</properties>{ended}</testcase>"""


def report(folder: Path, commit: str, *cases: str) -> Path:
    file = folder / f"soak-{commit}.xml"
    file.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    return file


def case(name: str, n: int, seconds: int | None) -> str:
    took = "" if seconds is None else f'<property name="final state after" value="{seconds} s"/>'
    ended = "" if seconds is not None else "<failure/>"
    return CASE.format(name=name, n=n, time=60, took=took, ended=ended)


def test_a_fault_has_one_row_with_all_its_repetitions(tmp_path: Path) -> None:
    cases = [case("node lost", n, seconds) for n, seconds in enumerate((41, 39, None))]
    rows = fault_table(read([report(tmp_path, "1234567", *cases)])).splitlines()
    assert rows[2:] == ["| node lost | Crashed | b | 2 of 3 | 39 to 41 s |"]


def test_a_fault_that_never_ended_well_has_no_time(tmp_path: Path) -> None:
    assert (
        fault_table(read([report(tmp_path, "1", case("a", 0, None))])).splitlines()[2]
        == "| a | Crashed | b | 0 of 1 |  |"
    )


def test_the_last_report_of_a_test_wins(tmp_path: Path) -> None:
    cases = read([report(tmp_path, "1", case("a", 0, None), case("b", 0, 7)), report(tmp_path, "2", case("a", 0, 5))])
    assert [(one.commit, one.outcome) for one in cases] == [("2", "passed"), ("1", "passed")]
    assert "| 2 | passed | 60 | final state after 5 s |" in table(cases)


def test_rows_stand_in_the_order_of_the_tests_whatever_report_they_are_from(tmp_path: Path) -> None:
    def real(function: str) -> str:
        return case("b", 0, 5).replace("test_b[0]", f"{function}[0]")

    later, earlier = (
        real(one.__name__)
        for one in (
            test_faults.test_forty_runs_at_once_wait_for_their_turn,
            test_faults.test_a_pod_that_vanishes_crashes_its_run,
        )
    )
    cases = read([report(tmp_path, "1", later), report(tmp_path, "2", earlier)])
    assert [one.commit for one in cases] == ["2", "1"]


def test_rows_of_other_tests_stay_while_there_are_such_tests(tmp_path: Path) -> None:
    here = "| test_install: test images are those that were built | 0 | passed | 9 |  |"
    gone = "| test_install: test what nobody wrote | 0 | passed | 9 |  |"
    rows = table(read([report(tmp_path, "1", case("a", 0, 5))]), f"head\n\n{here}\n{gone}\n").splitlines()
    assert here in rows
    assert gone not in rows
    assert len(rows) == 6


def faults(module: ModuleType) -> Iterator[pytest.Mark]:
    for function in vars(module).values():
        for mark in getattr(function, "pytestmark", ()):
            sets = [one for one in mark.args[1] if hasattr(one, "marks")] if mark.name == "parametrize" else []
            for one in [mark, *(inner.mark for each in sets for inner in each.marks)]:
                if one.name == "fault":
                    yield one


def test_the_table_has_faults_that_are_tested_and_each_ended_as_it_should() -> None:
    declared = [mark.args for module in (test_faults, test_faults_platform) for mark in faults(module)]
    rows = [line.strip("| ").split(" | ") for line in FAULTS.read_text(encoding="utf-8").splitlines()[2:]]
    assert [tuple(row[:3]) for row in rows] == declared
    assert {row[3] for row in rows} == {"3 of 3"}
