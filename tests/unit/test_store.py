from __future__ import annotations

import errno
import fcntl
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.core import atomic
from flows.core.errors import StoreError
from flows.core.settings import load_settings
from flows.store import LocalStore, open_store

BUCKET = "taxi-data"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store root")


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_bytes_and_files_come_back_as_put(store: LocalStore, tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    file = tmp_path / "month.parquet"
    file.write_bytes(content)
    info = store.put_file(BUCKET, "reference/month.parquet", file)
    assert (info.key, info.size_bytes) == ("reference/month.parquet", 3_000_001)
    assert store.stat(BUCKET, "reference/month.parquet") == info
    assert store.get_bytes(BUCKET, "reference/month.parquet") == content
    store.put_bytes(BUCKET, "reference/month.parquet", b"")
    assert store.get_bytes(BUCKET, "reference/month.parquet") == b""
    with store.local_path(BUCKET, "reference/month.parquet") as path:
        assert path.name == "month.parquet"
        assert store.location(BUCKET, "reference/month.parquet") == str(path)


def test_etag_changes_with_the_content(store: LocalStore) -> None:
    first = store.put_bytes(BUCKET, "a", b"1")
    second = store.put_bytes(BUCKET, "a", b"2")
    assert first.etag != second.etag


def test_missing_object(store: LocalStore) -> None:
    assert store.stat(BUCKET, "a") is None
    store.delete(BUCKET, "a")
    with pytest.raises(StoreError, match=r"no object 'a' in bucket 'taxi-data' of the local store .*store root"):
        store.get_bytes(BUCKET, "a")


def test_delete(store: LocalStore) -> None:
    store.put_bytes(BUCKET, "a/b", b"1")
    store.delete(BUCKET, "a/b")
    assert store.stat(BUCKET, "a/b") is None
    assert list(store.list(BUCKET)) == []


def test_list_is_by_prefix_and_in_order_of_keys(store: LocalStore) -> None:
    keys = ["a/b/1", "a/b/2", "a-b", "a.b", "a/c", "b", "ab/x"]
    for key in keys:
        store.put_bytes(BUCKET, key, b"x")
    assert [found.key for found in store.list(BUCKET)] == sorted(keys)
    for prefix in ("a", "a/", "a/b", "a/b/", "a/b/2", "b", "nothing", "no/thing", "b/"):
        assert [found.key for found in store.list(BUCKET, prefix)] == sorted(k for k in keys if k.startswith(prefix))
    assert list(store.folders(BUCKET)) == ["a/", "ab/"]
    assert list(store.folders(BUCKET, "a/")) == ["a/b/"]
    assert list(store.folders("other")) == []


def test_list_reads_the_named_folder_alone(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(10, 20):
        store.put_bytes(BUCKET, f"experiments/date=2026-01-{day}/a.json", b"{}")
    scanned: list[str] = []
    scandir = os.scandir

    def spy(path: Path) -> object:
        scanned.append(path.name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", spy)
    assert len(list(store.list(BUCKET, "experiments/date=2026-01-12/"))) == 1
    assert scanned == ["date=2026-01-12"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", ".hidden", "a\\b", "a\0b"])
def test_keys_that_leave_the_bucket_are_refused(store: LocalStore, key: str) -> None:
    for use in (store.stat, store.get_bytes, store.delete):
        with pytest.raises(StoreError, match="can't name an object"):
            use(BUCKET, key)
    with pytest.raises(StoreError, match="can't name an object"):
        store.put_bytes(BUCKET, key, b"x")
    with pytest.raises(StoreError, match=r"bucket '\.\.' can't name"):
        store.stat("..", "a")


def _full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda patch: patch.setattr("flows.store.local._Hashing.write", _full_disk), id="while writing"),
        pytest.param(lambda patch: patch.setattr(os, "fsync", _full_disk), id="while flushing"),
        pytest.param(lambda patch: patch.setattr(Path, "replace", _full_disk), id="while renaming"),
    ],
)
def test_full_disk_leaves_the_old_object_and_nothing_else(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None]
) -> None:
    store.put_bytes(BUCKET, "a", b"old")
    break_it(monkeypatch)
    with pytest.raises(StoreError, match=r"a was not written: No space left.*free some space.*TAXI_STORE_DIR"):
        store.put_bytes(BUCKET, "a", b"new")
    monkeypatch.undo()
    assert store.get_bytes(BUCKET, "a") == b"old"
    assert files_below(tmp_path) == [f"store root/{BUCKET}/a"]


def test_interrupt_leaves_nothing(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put_bytes(BUCKET, "a", b"new")
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("lose", "message"),
    [
        (lambda chunk: chunk[:-1], "4 bytes were written, 3 are there"),
        (lambda chunk: chunk[:-1] + b"?", "other bytes were read"),
    ],
)
def test_a_disk_that_loses_bytes_is_noticed(
    store: LocalStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[bytes], bytes],
    message: str,
) -> None:
    class Lossy(io.BufferedRandom):
        def write(self, chunk: object) -> int:
            assert isinstance(chunk, bytes)
            super().write(lose(chunk))
            return len(chunk)

    real_open = Path.open

    def lossy_open(path: Path, mode: str = "r") -> object:
        if path.suffix == atomic.PARTIAL_SUFFIX:
            return Lossy(io.FileIO(path, "x+"))
        return real_open(path, mode)

    monkeypatch.setattr(Path, "open", lossy_open)
    with pytest.raises(StoreError, match=message):
        store.put_bytes(BUCKET, "a", b"1234")
    assert files_below(tmp_path) == []


def test_what_is_being_written_is_not_listed(store: LocalStore, tmp_path: Path) -> None:
    folder = tmp_path / "store root" / BUCKET
    folder.mkdir(parents=True)
    with atomic.replacing(folder / "a") as file:
        file.write(b"half")
        assert list(store.list(BUCKET)) == []
        assert len(files_below(folder)) == 1
    assert [found.key for found in store.list(BUCKET)] == ["a"]


def test_root_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = LocalStore(tmp_path / "file")
    with pytest.raises(StoreError, match=r"file/taxi-data.*was not written.*TAXI_STORE_DIR"):
        store.put_bytes(BUCKET, "a", b"x")
    assert store.stat(BUCKET, "a") is None


def test_root_that_is_not_writable(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, for whom every directory is writable.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/store")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=r"Permission denied\. Make the directory writable.*TAXI_STORE_DIR"):
        store.put_bytes(BUCKET, "a", b"x")


def test_file_that_is_not_there(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere\.csv can't be put into the store: No such file"):
        store.put_file(BUCKET, "a", tmp_path / "nowhere.csv")


def test_the_store_is_a_directory_where_no_other_is_named(tmp_path: Path) -> None:
    assert open_store(load_settings()).describe() == f"the local store {tmp_path / 'store'}"


def old(file: Path, seconds: float = 2 * atomic.ABANDONED_SECONDS) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (time.time() - seconds,) * 2)
    return file


@pytest.mark.parametrize("look", ["put", "list"])
def test_what_killed_writers_left_goes(store: LocalStore, tmp_path: Path, look: str) -> None:
    folder = tmp_path / "store root" / BUCKET / "2016"
    abandoned = old(folder / ".a.csv.0123abcd.part")
    young = old(folder / ".a.csv.0123abce.part", seconds=60)
    others = [old(folder / name) for name in (".a.part", "a.csv.0123abcd.part", ".a.csv.0123abcd.partial", ".b")]
    held = old(folder / ".b.csv.0123abcd.part")
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if look == "put":
            store.put_bytes(BUCKET, "2016/c.csv", b"x")
        else:
            list(store.list(BUCKET))
    assert not abandoned.exists()
    assert all(file.exists() for file in (young, held, *others))
    list(store.list(BUCKET))
    assert not held.exists(), "its writer is gone"


def test_a_writer_holds_its_partial_file(tmp_path: Path) -> None:
    with atomic.replacing(tmp_path / "a.csv") as file:
        file.write(b"x")
        [partial] = tmp_path.glob(".a.csv.*.part")
        old(partial)
        atomic.remove_abandoned([partial])
        assert partial.exists()
    assert files_below(tmp_path) == ["a.csv"]


def test_hidden_folders_break_no_list(store: LocalStore, tmp_path: Path) -> None:
    store.put_bytes(BUCKET, "a.csv", b"x")
    old(tmp_path / "store root" / BUCKET / ".ipynb_checkpoints" / "a-checkpoint.csv")
    assert [one.key for one in store.list(BUCKET)] == [".ipynb_checkpoints/a-checkpoint.csv", "a.csv"]


def test_a_name_that_no_file_can_have_is_not_there(store: LocalStore) -> None:
    assert store.stat(BUCKET, "x" * 300) is None
    for key in ("x" * 1025, "a\nb", "\udcfc"):
        with pytest.raises(StoreError, match="can't name an object"):
            store.stat(BUCKET, key)
