"""Write the table of a `make soak` from pytest's JUnit file: `python -m tests.cluster.table soak-COMMIT.xml...`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import REPOSITORY

TABLE = REPOSITORY / "tests" / "cluster" / "soak.md"


def table(reports: Sequence[Path]) -> str:
    """One row for each test: the commit, how it ended, how long it took, what it measured; later reports win."""
    rows: dict[str, str] = {}
    for report in reports:
        commit = report.stem.removeprefix("soak-")
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  (pytest's own)
            rows[_name(case)] = f"| {_name(case)} | {commit} | {_ended(case)} |"
    head = f"`make soak`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(rows)} tests."
    columns = ["| test | commit | ended | seconds | measured |", "| --- | --- | --- | --: | --- |"]
    return "\n".join([head, "", *columns, *rows.values(), ""])


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name', '').replace('_', ' ').replace('|', '/')}"


def _ended(case: ElementTree.Element) -> str:
    return f"{_outcome(case)} | {float(case.get('time', 0)):.0f} | {'; '.join(_measured(case))}"


def _outcome(case: ElementTree.Element) -> str:
    bad = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
    return bad[0] if bad else "passed"


def _measured(case: ElementTree.Element) -> Iterator[str]:
    for one in case.iter("property"):
        yield f"{one.get('name')} {one.get('value')}"


if __name__ == "__main__":
    TABLE.write_text(table([Path(name) for name in sys.argv[1:]]), encoding="utf-8")
    sys.stdout.write(f"wrote {TABLE.relative_to(REPOSITORY)}\n")
