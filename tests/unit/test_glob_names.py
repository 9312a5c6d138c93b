"""A glob names the same files whether they are local or objects, and what it passes over has a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.core.errors import ParameterError
from flows.datasets.globs import Matches, match_files, match_keys

NAMES = (
    "a.csv",
    "b.parquet/_SUCCESS",
    "b.parquet/.part-0.crc",
    "b.parquet/part-0.parquet",
    "b.parquet/part-1.parquet",
    "plain/c.csv",
    "plain/deep/d.csv",
    "year=2016/_metadata",
    "year=2016/month=01/part-0.parquet",
    "year=2016/month=02/part-0.parquet",
    ".DS_Store",
    ".ipynb_checkpoints/a-checkpoint.csv",
    "_mine.csv",
)
SPARK = ["b.parquet/part-0.parquet", "b.parquet/part-1.parquet"]
HIVE = ["year=2016/month=01/part-0.parquet", "year=2016/month=02/part-0.parquet"]
SPARK_HIDDEN, HIVE_HIDDEN = ["b.parquet/.part-0.crc", "b.parquet/_SUCCESS"], ["year=2016/_metadata"]
TOP_HIDDEN = [".DS_Store", ".ipynb_checkpoints/", "_mine.csv"]

CASES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "*": (["a.csv", *SPARK, *HIVE], [*TOP_HIDDEN, *SPARK_HIDDEN, *HIVE_HIDDEN], ["plain/"]),
    "*.parquet": (SPARK, SPARK_HIDDEN, []),
    "b.parquet/*": (SPARK, SPARK_HIDDEN, []),
    "b.parquet/part-?.parquet": (SPARK, [], []),
    "**": (
        ["a.csv", *SPARK, "plain/c.csv", "plain/deep/d.csv", *HIVE],
        [*TOP_HIDDEN, *SPARK_HIDDEN, *HIVE_HIDDEN],
        [],
    ),
    "**/*.csv": (["a.csv", "plain/c.csv", "plain/deep/d.csv"], [".ipynb_checkpoints/", "_mine.csv"], []),
    "plain/**": (["plain/c.csv", "plain/deep/d.csv"], [], []),
    "plain/*": (["plain/c.csv"], [], ["plain/deep/"]),
    "year=*": (HIVE, HIVE_HIDDEN, []),
    "*/*/*.parquet": (HIVE, [".ipynb_checkpoints/"], []),
    "year=2016/month=02/*": (HIVE[1:], [], []),
    "_*.csv": (["_mine.csv"], [], []),
    "[!a]*.csv": ([], ["_mine.csv"], []),
    "x*": ([], [], []),
}


def in_order(found: Matches) -> tuple[list[str], list[str], list[str]]:
    return sorted(found.files), sorted(found.hidden), sorted(found.folders)


@pytest.mark.parametrize("pattern", CASES)
def test_files_and_keys_alike(pattern: str, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    local = match_files(tmp_path / pattern)
    stripped = Matches(*([name.removeprefix(f"{tmp_path}/") for name in found] for found in in_order(local)))
    expected = tuple(map(sorted, CASES[pattern]))
    assert in_order(stripped) == expected
    assert in_order(match_keys(pattern, sorted(NAMES))) == expected


def test_folder_markers_are_no_objects() -> None:
    found = match_keys("*", ["2024/", "2024/a.csv", "a//b.csv", "b.parquet/", "b.parquet/part-0", "c.csv"])
    assert found.files == ["b.parquet/part-0", "c.csv"]
    assert found.folders == ["2024/", "a/"]
    assert found.hidden == ["b.parquet/"]
    found = match_keys("**", ["2024/", "2024/a.csv"])
    assert (found.files, found.hidden, found.folders) == (["2024/a.csv"], ["2024/"], [])


@pytest.mark.parametrize("pattern", ["**.parquet", "2016/a**", "***"])
def test_two_asterisks_beside_other_characters(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"\*\* must stand alone between slashes"):
        match_keys(pattern, [])
    with pytest.raises(ParameterError, match=r"\*\* must stand alone between slashes"):
        match_files(tmp_path / pattern)


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").touch()
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    assert match_files(tmp_path / "**" / "*.csv").files == [f"{tmp_path}/in/a.csv"]


def test_wild_patterns_end_soon() -> None:
    key = "/".join(["a" * 100] * 10)
    for pattern in ("*?" * 500, "**/" * 300 + "x", "[" * 1024, "[a-" * 300, "/".join(["*"] * 400)):
        assert match_keys(pattern, [key] * 100) == Matches()
