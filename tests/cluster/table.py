"""Write the tables of a `make soak` from pytest's JUnit files: `python -m tests.cluster.table soak-COMMIT.xml...`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.faults import FAULT, TOOK
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "tests" / "cluster"
ALL, FAULTS = FOLDER / "soak.md", FOLDER / "faults.md"


@dataclass(frozen=True)
class Case:
    """One test of one run of pytest.

    outcome: passed, failure, error or skipped. properties: what the test recorded.
    """

    name: str
    commit: str
    outcome: str
    seconds: float
    properties: dict[str, str]

    @property
    def fault(self) -> tuple[str, ...]:
        """What breaks, what becomes of it, and what bounds it; empty where the test is about no fault."""
        return tuple(self.properties[name] for name in FAULT if name in self.properties)


def read(reports: Sequence[Path]) -> list[Case]:
    """The tests of all reports, in the order of the files of tests; the last report that has one wins."""
    found: dict[str, Case] = {}
    for report in reports:
        commit = report.stem.removeprefix("soak-")
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  (pytest's own)
            found[_name(case)] = _case(case, commit)
    return sorted(found.values(), key=lambda case: _place(case.name))


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name', '').replace('_', ' ').replace('|', '/')}"


def _case(case: ElementTree.Element, commit: str) -> Case:
    bad = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
    properties = {one.get("name", ""): one.get("value", "") for one in case.iter("property")}
    return Case(_name(case), commit, bad[0] if bad else "passed", float(case.get("time", 0)), properties)


def _place(name: str) -> tuple[str, int]:
    """File of the test of that name, and where in it the test begins; its repetitions share one place."""
    module, _, test = name.partition(": ")
    file = FOLDER / f"{module}.py"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return module, text.find(f"def {test.partition('[')[0].replace(' ', '_')}(")


def table(cases: Sequence[Case], before: str = "") -> str:
    """One row for each test: the commit, how it ended, how long it took, what it measured.

    Args:
        cases: of the reports.
        before: the table as it was: rows of other tests stay while there are such tests.
    """
    rows = {row.split(" | ")[0].strip("| "): row for row in before.splitlines() if _is_of_a_test(row)}
    rows |= {
        one.name: f"| {one.name} | {one.commit} | {one.outcome} | {one.seconds:.0f} | {_measured(one)} |"
        for one in cases
    }
    head = f"`make soak`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(rows)} tests."
    columns = ["| test | commit | ended | seconds | measured |", "| --- | --- | --- | --: | --- |"]
    return "\n".join([head, "", *columns, *(rows[name] for name in sorted(rows)), ""])


def _is_of_a_test(row: str) -> bool:
    return _place(row.strip("| ").split(" | ")[0])[1] >= 0


def _measured(case: Case) -> str:
    return "; ".join(f"{name} {value}" for name, value in case.properties.items() if name not in FAULT)


def fault_table(cases: Sequence[Case]) -> str:
    """One row for each fault: how many repetitions ended as they should, and how long they took to the final state."""
    columns = [
        "| fault | what becomes of the run | bounded by | observed | final state after |",
        "| --- | --- | --- | --: | --: |",
    ]
    return "\n".join([*columns, *_fault_rows(cases), ""])


def _fault_rows(cases: Sequence[Case]) -> Iterator[str]:
    for fault in dict.fromkeys(case.fault for case in cases if case.fault):
        tries = [case for case in cases if case.fault == fault]
        passed = [case for case in tries if case.outcome == "passed"]
        yield f"| {' | '.join(fault)} | {len(passed)} of {len(tries)} | {_took(passed)} |"


def _took(cases: Sequence[Case]) -> str:
    seconds = sorted({int(case.properties[TOOK].removesuffix(" s")) for case in cases})
    return f"{seconds[0]} to {seconds[-1]} s" if len(seconds) > 1 else "".join(f"{one} s" for one in seconds)


if __name__ == "__main__":
    cases = read([Path(name) for name in sys.argv[1:]])
    ALL.write_text(table(cases, ALL.read_text(encoding="utf-8")), encoding="utf-8")
    FAULTS.write_text(fault_table(cases), encoding="utf-8")
    sys.stdout.write(f"wrote {ALL.relative_to(REPOSITORY)} and {FAULTS.relative_to(REPOSITORY)}\n")
