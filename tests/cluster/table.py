"""Write the table of a `make soak` from pytest's JUnit file: `python -m tests.cluster.table JUNIT_XML`."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import REPOSITORY

TABLE = REPOSITORY / "tests" / "cluster" / "soak.md"


def table(report: Path) -> str:
    """One row for each test: how it ended, how long it took, what it measured."""
    cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314  (pytest's own)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
    head = f"`make soak` of {commit}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(cases)} tests."
    return "\n".join(
        [head, "", "| test | ended | seconds | measured |", "| --- | --- | --: | --- |", *map(_row, cases), ""]
    )


def _row(case: ElementTree.Element) -> str:
    name = f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name', '').replace('_', ' ').replace('|', '/')}"
    return f"| {name} | {_outcome(case)} | {float(case.get('time', 0)):.0f} | {'; '.join(_measured(case))} |"


def _outcome(case: ElementTree.Element) -> str:
    bad = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
    return bad[0] if bad else "passed"


def _measured(case: ElementTree.Element) -> Iterator[str]:
    for one in case.iter("property"):
        yield f"{one.get('name')} {one.get('value')}"


if __name__ == "__main__":
    TABLE.write_text(table(Path(sys.argv[1])), encoding="utf-8")
    sys.stdout.write(f"wrote {TABLE.relative_to(REPOSITORY)}\n")
