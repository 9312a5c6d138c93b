"""Files that a person asks for are tried before any work, and never left half-written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.cli import run as run_module
from flows.cli.outputs import check_file, refuse_to_overwrite, writing
from flows.core.atomic import try_to_write
from flows.core.errors import OutputError, ParameterError


def test_a_file_that_can_be_written_leaves_no_trace(tmp_path: Path) -> None:
    check_file("--labels", tmp_path / "labels.npy", (".npy",))
    (tmp_path / "old.npy").write_text("old")
    check_file("--labels", tmp_path / "old.npy", (".npy",))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old.npy": "old"}


@pytest.fixture
def bad_files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "file").touch()
    return {
        f"{tmp_path}/labels.csv": "the name must end in .npy",
        f"{tmp_path}/folder.npy": "that is a folder",
        f"{tmp_path}/missing/labels.npy": "there is no folder",
        f"{tmp_path}/file/labels.npy": "there is no folder",
        f"{tmp_path}/{'long' * 62}.npy": "File name too long",  # not with the ending that it is written under
        "/proc/labels.npy": "it can't be written",
    }


def test_a_file_that_can_not_be_written_is_refused(bad_files: dict[str, str]) -> None:
    for file, reason in bad_files.items():
        with pytest.raises(ParameterError, match=f"--labels is {re.escape(repr(file))}: .*{reason}"):
            check_file("--labels", Path(file), (".npy",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.npy"
    file.touch()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ParameterError, match="Permission denied"):
            check_file("--labels", file, (".npy",))
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_named_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, size_bytes: int) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("flows.cli.outputs.try_to_write", full)
    with pytest.raises(ParameterError, match=r"No space left on device\. Free some space"):
        check_file("--labels", tmp_path / "labels.npy", (".npy",))


def test_the_probe_is_deleted_where_it_fails(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        try_to_write(tmp_path / "file", 2**62)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["trips.parquet", "*.parquet", "./trips.parquet", "link.parquet"])
def test_the_data_source_is_not_overwritten(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trips.parquet").write_text("trips")
    Path("link.parquet").symlink_to("trips.parquet")
    with pytest.raises(ParameterError, match="that file is the data source"):
        refuse_to_overwrite("--clusters", Path("trips.parquet"), [source])
    refuse_to_overwrite("--clusters", Path("clusters.parquet"), [source])
    done = CliRunner().invoke(main, ["run", source, "--no-minio", "--clusters", str(tmp_path / "trips.parquet")])
    assert done.exit_code == 2
    assert Path("trips.parquet").read_text() == "trips"


def test_a_failure_after_all_says_where_the_result_is(tmp_path: Path) -> None:
    file = tmp_path / "labels.npy"
    with pytest.raises(OutputError) as failed, writing(file, "/store/experiments/e-1.json"):
        raise OSError(28, "No space left on device", str(file))
    assert str(failed.value) == (
        f"{file} was not written: No space left on device. The result is kept: /store/experiments/e-1.json"
    )


@pytest.mark.parametrize("command", ["run", "evaluate"])
def test_nothing_is_started_for_a_file_that_can_not_be_written(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "run_pipeline", lambda *_: pytest.fail("the flow was started"))
    done = CliRunner().invoke(main, [command, "x", "--no-minio", "--clusters", str(tmp_path / "no" / "x.geojson")])
    assert done.exit_code == 2
    assert "there is no folder" in done.stderr
