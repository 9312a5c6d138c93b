"""A thousand mutated inputs end with a result or with an error of ours, and the harness sees what does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.child import case
from tests.fuzz.kinds import KINDS
from tests.fuzz.parent import Child, run_cases

CASES_PER_KIND = 125


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_inputs_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    found = list(run_cases(kind, 0, range(CASES_PER_KIND), tmp_path))
    assert [(one.number, one.fault) for one in found if one.fault] == []
    assert len(found) == CASES_PER_KIND
    assert any(one.refused for one in found) or kind == "records"  # what is no record is passed over by name
    assert not all(one.refused for one in found)


def test_a_case_follows_from_its_number() -> None:
    assert case("csv", 0, 7)[0] == case("csv", 0, 7)[0]
    assert len({case("csv", 0, number)[0] for number in range(20)}) == 20
    assert case("csv", 1, 7)[0] != case("csv", 0, 7)[0]


CHILD = """
import sys
from tests.fuzz import child, kinds, parent
def run(content, folder, random):
    {body}
kinds.KINDS["csv"] = kinds.Kind(lambda random: b"", run)
child.main(sys.argv[1], int(sys.argv[2]), child.Path(sys.argv[3]))
"""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("import os; os.abort()", "ended with code -6"),
        ("held = bytearray(3 << 29)", "MemoryError"),
        ("while True: pass", "of CPU"),
        ("sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_what_is_no_error_of_ours_is_a_fault(
    body: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.parent.MAX_START_CPU_SECONDS", 5.0)
    with Child("csv", 0, tmp_path, (sys.executable, "-c", CHILD.format(body=body))) as child:
        first, second = child.run(0), child.run(1)  # the second in a new process where the first one ended
    assert fault in str(first.fault)
    assert fault in str(second.fault)
