"""The repository agrees with itself: Makefile, locks and versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flows import __version__
from tests.conftest import REPOSITORY

LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = dict(re.findall(r"^([a-z][a-z-]*):(?:.*?## (.*))?", MAKEFILE, re.MULTILINE))
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))

by_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)


def test_make_targets_are_few_and_explained() -> None:
    assert len(TARGETS) <= 20
    assert [target for target, comment in TARGETS.items() if not comment] == []
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert phony[1].split() == list(TARGETS)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person would, also where the tests were started by make."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_make_help_is_the_default_and_prints_each_target() -> None:
    printed = make(REPOSITORY).stdout
    assert [line.split()[1] for line in printed.splitlines()] == list(TARGETS)


def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "old python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "old python").chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "requirements", "flows"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for python, message in ((str(tmp_path / "old python"), "Error"), ("no-such-python", "no no-such-python")):
        done = make(tmp_path, "setup", f"PYTHON={python}")
        assert done.returncode == 2
        assert message in done.stderr
        assert not (tmp_path / ".venv").exists()


def test_ci_calls_the_make_targets_of_the_readme() -> None:
    for path in (REPOSITORY / ".ci" / "run", *(REPOSITORY / ".github" / "workflows").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"make .*\brun$", text, re.MULTILINE), path
        assert re.search(r"make .*\btest$", text, re.MULTILINE), path


def pins(lock: Path) -> dict[str, list[tuple[str, str]]]:
    """Name of each package of a lock -> its (version, marker) pairs; every line must be one with hashes."""
    entries = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n?", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in filter(str.strip, entries):
        match = re.fullmatch(
            r"([\w.-]+)==([\w.]+)(?: ; (.+?))? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+", entry
        )
        assert match, f"{lock.name}: {entry[:80]!r} is no hashed pin"
        found.setdefault(canonicalize_name(match[1]), []).append((match[2], match[3] or ""))
    return found


@by_lock
def test_locks_name_no_host_and_no_path(lock: Path) -> None:
    comments = "".join(re.findall(r"^ *#.*\n", lock.read_text(encoding="utf-8"), re.MULTILINE))
    assert "://" not in comments
    assert not re.search(r"(^|\s)/", comments)
    assert pins(lock)


@by_lock
def test_locks_agree_with_dev(lock: Path) -> None:
    dev = pins(REPOSITORY / "requirements" / "dev.txt")
    differing = {
        name for name, found in pins(lock).items() if not {pin[0] for pin in found} <= {pin[0] for pin in dev[name]}
    }
    assert differing == set()


@by_lock
def test_locks_hold_what_pyproject_asks_for(lock: Path) -> None:
    locked = pins(lock)
    asked = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["build"]]
    extras = [lock.stem]
    while extras:
        requirements = [Requirement(text) for text in PYPROJECT["project"]["optional-dependencies"][extras.pop()]]
        extras += [extra for one in requirements if one.name == "taxi-flows" for extra in one.extras]
        asked += [str(one) for one in requirements if one.name != "taxi-flows"]
    for one in map(Requirement, asked):
        versions = [version for version, _ in locked.get(canonicalize_name(one.name), [])]
        assert versions, f"run `make lock`: {one} is not in {lock.name}"
        assert all(version in one.specifier for version in versions), f"run `make lock`: {one}, but {versions}"


def test_versions_agree() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert __version__ in changelog
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "flows.__version__"}
    supported = Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier
    assert all(f"3.{minor}" in supported for minor in range(11, 15))
    assert "3.10" not in supported
    assert "3.15" not in supported
    assert "3.11 to 3.14" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "(3, 11) <= v < (3, 15)" in MAKEFILE


def test_no_path_of_a_machine_is_written_down() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout
    for name in listed.splitlines():
        path = REPOSITORY / name
        if path != Path(__file__) and path.is_file():
            assert not re.search(rb"(?<![\w.$}~*])/(?:root|work|home)/\w", path.read_bytes()), name


def test_python_dash_m_flows_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "flows", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"taxi-flows {__version__}\n"
