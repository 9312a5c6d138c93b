"""Prefect's database and both buckets off the cluster, and back.

A backup is a folder: prefect.dump (pg_dump's custom format) beside a folder for each bucket, in the layout of the local
store, so `TAXI_STORE_DIR` may point at it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from flows.core.errors import ParameterError, PlatformError, StoreError
from flows.core.settings import Settings
from flows.datasets.names import shorten
from flows.operator.cluster.kube import Cluster
from flows.operator.cluster.kubectl import Kubectl
from flows.store import LocalStore, ObjectStore, key_fault

DUMP = "prefect.dump"
_SERVER = "deployment/prefect-server"
_POSTGRES = ("exec", "--stdin", "postgresql-0", "--container", "postgresql", "--", "sh", "-ec")
_LOGIN = 'export PGPASSWORD="$POSTGRES_PASSWORD" PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB" PGHOST=127.0.0.1; '
_COUNT_RUNS = "select count(*) from flow_run"
_READY = "--timeout=300s"

Say = Callable[[str], None]


def backup(folder: Path, kubectl: Kubectl, cluster: Cluster, settings: Settings, say: Say) -> None:
    """Copy everything into a new or empty folder.

    Raises:
        ParameterError: the folder holds something.
        PlatformError: objects were left out, as no file can have their keys; everything else is there.
        ClusterError: the stack is not there, or does not answer.
        StoreError: MinIO or the folder refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ParameterError(f"{folder} is not empty: name a new folder.")
    say("Prefect's database ...")
    partial = folder / f"{DUMP}.part"
    kubectl.run(*_POSTGRES, f"{_LOGIN}exec pg_dump --format=custom", stdout=partial)
    partial.rename(folder / DUMP)
    left_out: list[str] = []
    with _minio(kubectl, cluster) as store:
        for bucket in _buckets(settings):
            copied = _copy(store, LocalStore(folder), bucket)
            say(f"bucket {bucket}: {copied.n_objects} objects")
            left_out += [f"{bucket}/{key!r}" for key in copied.left_out]
    if left_out:
        raise PlatformError(
            f"{len(left_out)} objects are not in the backup, as no file can have their keys: {shorten(left_out)}. "
            f"Everything else is in {folder}. Delete or rename them in MinIO."
        )


def restore(folder: Path, kubectl: Kubectl, cluster: Cluster, settings: Settings, say: Say, force: bool) -> None:
    """Bring a backup back. The server is stopped meanwhile; objects that are not of the backup stay.

    Args:
        force: replace a database that holds flow runs.

    Raises:
        ParameterError: the folder is no backup.
        PlatformError: the database holds flow runs, and force is False; nothing was changed.
        ClusterError: the stack is not there, or does not answer.
        StoreError: MinIO refuses.
    """
    if not (folder / DUMP).is_file():
        raise ParameterError(f"{folder} is no backup: it has no {DUMP}. `make backup DIR={folder}` makes one.")
    n_runs = kubectl.run(*_POSTGRES, f'{_LOGIN}psql --tuples-only --command "{_COUNT_RUNS}"').strip()
    if n_runs != "0" and not force:
        raise PlatformError(
            f"the database holds {n_runs} flow runs, which the backup would replace; nothing was changed. Add --force "
            "(make restore FORCE=1) where that is meant."
        )
    say("Prefect's database ...")
    kubectl.run("scale", _SERVER, "--replicas=0")
    kubectl.run("wait", "pod", "--for=delete", "--selector=app.kubernetes.io/name=prefect-server", _READY)
    try:
        restoring = "exec pg_restore --clean --if-exists --no-owner --single-transaction --dbname=$POSTGRES_DB"
        kubectl.run(*_POSTGRES, _LOGIN + restoring, stdin=folder / DUMP)
    finally:
        kubectl.run("scale", _SERVER, "--replicas=1")
    kubectl.run("rollout", "status", _SERVER, _READY)
    with _minio(kubectl, cluster) as store:
        for bucket in _buckets(settings):
            copied = _copy(LocalStore(folder), store, bucket)
            say(f"bucket {bucket}: {copied.n_objects} objects")
            if copied.left_out:  # hidden files, which are no part of a backup
                say(f"bucket {bucket}: passed over {shorten(copied.left_out)}")


def _buckets(settings: Settings) -> tuple[str, str]:
    return settings.data_bucket, settings.experiments_bucket


class _Copied(NamedTuple):
    n_objects: int
    left_out: list[str]


def _copy(source: ObjectStore, target: ObjectStore, bucket: str) -> _Copied:
    """Objects of a bucket, each written whole and checked. Keys that the target can't hold are left out."""
    n_objects, left_out = 0, []
    for found in source.list(bucket):
        if key_fault(found.key) is not None:
            left_out.append(found.key)
            continue
        try:
            with source.local_path(bucket, found.key) as file:
                target.put_file(bucket, found.key, file)
        except StoreError as error:
            if not _is_of_its_name(error.__cause__):
                raise
            left_out.append(found.key)
            continue
        n_objects += 1
    return _Copied(n_objects, left_out)


def _is_of_its_name(cause: BaseException | None) -> bool:
    """Whether a file can't be written for its name: too long, or a folder where another has a file."""
    return isinstance(cause, OSError) and cause.errno in {
        errno.ENAMETOOLONG,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
    }


@contextmanager
def _minio(kubectl: Kubectl, cluster: Cluster) -> Iterator[ObjectStore]:
    """MinIO with all rights."""
    from flows.store.minio import MinioStore

    root = cluster.secret(kubectl.namespace, "minio-root")
    with kubectl.forwarded("minio", 9000) as endpoint:
        yield MinioStore(endpoint, root["rootUser"], root["rootPassword"], secure=False)
