"""Backup and restore, with a kubectl that keeps what it is asked for and a directory in place of MinIO."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from minio import Minio

from flows.core.errors import ClusterError, ParameterError, PlatformError
from flows.core.settings import load_settings
from flows.operator.access import backup as module
from flows.operator.access.backup import backup, restore
from flows.operator.cluster.kube import Cluster
from flows.operator.cluster.kubectl import Kubectl
from flows.store import LocalStore
from flows.store.minio import MinioStore
from tests.unit.s3_server import KEYS, s3_server

NOBODY = cast(Cluster, None)


class Recorder(Kubectl):
    """Answers like a stack whose database holds `n_runs` flow runs."""

    calls: list[str]
    n_runs: str
    broken: str

    def run(self, *arguments: str, stdin: Path | None = None, stdout: Path | None = None) -> str:
        text = " ".join(arguments)
        self.calls.append(text)
        if self.broken and self.broken in text:
            raise ClusterError("broken")
        if stdout is not None:
            stdout.write_bytes(b"a dump")
        return self.n_runs if "psql" in text else ""


def recorder(n_runs: str = " 0\n", broken: str = "") -> Recorder:
    kubectl = Recorder(None, "taxi-platform")
    for name, value in (("calls", []), ("n_runs", n_runs), ("broken", broken)):
        object.__setattr__(kubectl, name, value)
    return kubectl


@pytest.fixture
def minio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    store = LocalStore(tmp_path / "minio")

    @contextmanager
    def opened(*_: object) -> Iterator[LocalStore]:
        yield store

    monkeypatch.setattr(module, "_minio", opened)
    return store


def test_what_was_backed_up_comes_back(tmp_path: Path, minio: LocalStore) -> None:
    minio.put_bytes("taxi-data", "reference/taxi_zones.zip", b"zones")
    minio.put_bytes("taxi-experiments", "experiments/date=2026-01-01/a.json", b"{}")
    folder, told = tmp_path / "backup", list[str]()
    backup(folder, recorder(), NOBODY, load_settings(), told.append)
    assert (folder / "prefect.dump").read_bytes() == b"a dump"
    assert told == ["Prefect's database ...", "bucket taxi-data: 1 objects", "bucket taxi-experiments: 1 objects"]
    for bucket in ("taxi-data", "taxi-experiments"):
        for found in list(minio.list(bucket)):
            minio.delete(bucket, found.key)
    kubectl = recorder()
    restore(folder, kubectl, NOBODY, load_settings(), told.append, force=False)
    assert minio.get_bytes("taxi-data", "reference/taxi_zones.zip") == b"zones"
    assert minio.get_bytes("taxi-experiments", "experiments/date=2026-01-01/a.json") == b"{}"
    order = [call.split()[0] if "pg_restore" not in call else "pg_restore" for call in kubectl.calls]
    assert order == ["exec", "scale", "wait", "pg_restore", "scale", "rollout"]


def test_keys_that_are_no_files_are_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ["folder/", ".DS_Store", ".ipynb_checkpoints/a.csv", "b.csv/c.csv", "x" * 300]
    names = ["a.csv", *odd, "b.csv", "zz/d.csv"]
    with s3_server("taxi-data", "taxi-experiments") as endpoint:
        client = Minio(endpoint, *KEYS, secure=False, region="us-east-1")
        for name in names:
            client.put_object("taxi-data", name, io.BytesIO(name.encode()), len(name))

        @contextmanager
        def opened(*_: object) -> Iterator[MinioStore]:
            yield MinioStore(endpoint, *KEYS, secure=False)

        monkeypatch.setattr(module, "_minio", opened)
        with pytest.raises(PlatformError, match=f"{len(odd)} objects are not in the backup") as refusal:
            backup(tmp_path / "b", recorder(), NOBODY, load_settings(), print)
    assert all(f"taxi-data/{name!r}" in str(refusal.value) for name in odd)
    kept = {str(file.relative_to(tmp_path / "b")) for file in (tmp_path / "b").rglob("*") if file.is_file()}
    assert kept == {"prefect.dump", "taxi-data/a.csv", "taxi-data/b.csv", "taxi-data/zz/d.csv"}


def test_hidden_files_are_not_restored(tmp_path: Path, minio: LocalStore) -> None:
    LocalStore(tmp_path / "b").put_bytes("taxi-data", "a.csv", b"x")
    (tmp_path / "b" / "prefect.dump").touch()
    (tmp_path / "b" / "taxi-data" / ".DS_Store").touch()
    told = list[str]()
    restore(tmp_path / "b", recorder(), NOBODY, load_settings(), told.append, force=False)
    assert "bucket taxi-data: passed over .DS_Store" in told
    assert [one.key for one in minio.list("taxi-data")] == ["a.csv"]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    kubectl = recorder()
    with pytest.raises(ParameterError, match=r"is not empty: name a new folder"):
        backup(tmp_path, kubectl, NOBODY, load_settings(), print)
    assert kubectl.calls == []


def test_a_dump_that_breaks_off_is_none(tmp_path: Path) -> None:
    with pytest.raises(ClusterError):
        backup(tmp_path / "b", recorder(broken="pg_dump"), NOBODY, load_settings(), print)
    assert not (tmp_path / "b" / "prefect.dump").exists()


def test_a_folder_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"is no backup: it has no prefect\.dump"):
        restore(tmp_path, recorder(), NOBODY, load_settings(), print, force=True)


def test_a_database_with_runs_is_replaced_on_request_alone(tmp_path: Path, minio: LocalStore) -> None:
    (tmp_path / "prefect.dump").touch()
    kubectl = recorder(n_runs=" 12\n")
    with pytest.raises(PlatformError, match=r"holds 12 flow runs.*--force"):
        restore(tmp_path, kubectl, NOBODY, load_settings(), print, force=False)
    assert len(kubectl.calls) == 1, "nothing but the question"
    restore(tmp_path, kubectl, NOBODY, load_settings(), print, force=True)
    assert any("pg_restore" in call for call in kubectl.calls)


def test_the_server_starts_again_whatever_happens(tmp_path: Path) -> None:
    (tmp_path / "prefect.dump").touch()
    kubectl = recorder(broken="pg_restore")
    with pytest.raises(ClusterError):
        restore(tmp_path, kubectl, NOBODY, load_settings(), print, force=False)
    assert kubectl.calls[-1] == "scale deployment/prefect-server --replicas=1"
