"""From what a person named to files that can be read: objects of the store, or local paths."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flows.errors import ParameterError, SourceNotFoundError, UnreadableFileError, ZoneTableError
from flows.fetch import ZONE_TABLE_KEY
from flows.model import ExperimentSpec, SourceFile
from flows.store import key_fault

if TYPE_CHECKING:
    from flows.settings import Settings
    from flows.steps.zones import ZoneTable
    from flows.store import ObjectStore

_GLOB = re.compile(r"[*?[]")
_TLC_NAME = re.compile(r"(yellow|green|fhv|fhvhv)_tripdata_(\d{4}-\d{2})\.parquet")
_COLUMNAR = ".parquet"
_SHOWN = 5
_SEARCHED = 10_000


@contextmanager
def resolve(spec: ExperimentSpec, settings: Settings, store: ObjectStore) -> Iterator[tuple[SourceFile, ...]]:
    """Find every file that `spec.data_source` names, in the order given; a glob's files by name.

    The files are readable while the block lasts.

    Raises:
        ParameterError: a file is named twice.
        SourceNotFoundError: an entry names nothing; the message says what is there.
        UnreadableFileError: an entry is a directory, no regular file, or not readable.
        StoreError: the store does not answer.
    """
    if spec.use_minio:
        keys = object_keys(spec, settings, store)
        with ExitStack() as stack:
            yield tuple(_object(key, settings.data_bucket, store, stack) for key in keys)
    else:
        paths = [path for entry in spec.data_source for path in _local_files(entry, settings.data_bucket, store)]
        names = [str(path) for path in paths]
        _refuse_twice(names, [str(path.resolve()) for path in paths])
        yield _source_files(names, paths)


def object_keys(spec: ExperimentSpec, settings: Settings, store: ObjectStore) -> list[str]:
    """Keys of the objects that `spec.data_source` names, in the order given.

    Raises:
        ParameterError: an object is named twice.
        SourceNotFoundError: an entry names nothing; the message says what is there.
        StoreError: the store does not answer.
    """
    keys = [key for entry in spec.data_source for key in _keys(entry, settings.data_bucket, store)]
    _refuse_twice(keys, keys)
    return keys


def zone_table(settings: Settings, store: ObjectStore) -> ZoneTable | None:
    """The taxi zones: of TAXI_ZONE_TABLE, else reference/taxi_zones.zip of the store; None where there is neither.

    Raises:
        ZoneTableError: it is there, but can't be read.
    """
    if settings.zone_table is None and store.stat(settings.data_bucket, ZONE_TABLE_KEY) is None:
        return None
    from flows.steps.zones import load_zone_table

    if settings.zone_table is not None:
        return load_zone_table(settings.zone_table)
    with store.local_path(settings.data_bucket, ZONE_TABLE_KEY) as path:
        return load_zone_table(path)


def require_zone_table(zones: ZoneTable | None, settings: Settings) -> ZoneTable:
    """The zone table of a run that can't do without.

    Raises:
        ZoneTableError: there is none; the message says how to get it.
    """
    if zones is None:
        raise ZoneTableError(
            "the source has zone ids and no coordinates, and there is no zone table to place them: there is no "
            f"{ZONE_TABLE_KEY} in bucket {settings.data_bucket}, and TAXI_ZONE_TABLE is not set. Run `taxi-flows data "
            "fetch yellow 2025-09`, which downloads the table too, or set TAXI_ZONE_TABLE to TLC's taxi_zones (zip, "
            "folder or .shp)."
        )
    return zones


def _object(key: str, bucket: str, store: ObjectStore, stack: ExitStack) -> SourceFile:
    """An object's columns are read where it is; text has no columns, so it is brought here."""
    remote = store.remote(bucket, key) if key.lower().endswith(_COLUMNAR) else None
    if remote is not None:
        return SourceFile(key, Path(key), remote.size_bytes, remote)
    path = stack.enter_context(store.local_path(bucket, key))
    return SourceFile(key, path, path.stat().st_size)


def _source_files(names: list[str], paths: list[Path]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(name, path, path.stat().st_size) for name, path in zip(names, paths, strict=True))


def _refuse_twice(names: list[str], identities: list[str]) -> None:
    seen: set[str] = set()
    for name, identity in zip(names, identities, strict=True):
        if identity in seen:
            raise ParameterError(f"data_source names {name} twice: its trips would count twice. Name each file once.")
        seen.add(identity)


def _keys(entry: str, bucket: str, store: ObjectStore) -> list[str]:
    """Keys of the objects that one entry names."""
    if key_fault(entry) is None and store.stat(bucket, entry) is not None:
        return [entry]
    wild = _GLOB.search(entry)
    if wild is None or entry.startswith("/"):
        _refuse_missing_object(entry, bucket, store)
    found = [
        one.key
        for one in store.list(bucket, entry[: wild.start()])
        if one.key.count("/") == entry.count("/") and fnmatchcase(one.key, entry)
    ]
    return found or _refuse_missing_object(entry, bucket, store)


def _refuse_missing_object(entry: str, bucket: str, store: ObjectStore) -> NoReturn:
    if Path(entry).is_file() or _matching(Path(entry)):
        raise SourceNotFoundError(
            f"{entry} is a local file, and no object in bucket {bucket} of {store.describe()}. Read it with "
            "--no-minio (use_minio=False), or put it there with `taxi-flows data put`."
        )
    keys = [one.key for one in islice(store.list(bucket), _SEARCHED)]
    if any(key.startswith(f"{entry.rstrip('/')}/") for key in keys):
        raise UnreadableFileError(f"{entry} is a folder of bucket {bucket}: name its objects, or use a glob.")
    name = _TLC_NAME.fullmatch(entry)
    fetch = f"`taxi-flows data fetch {name[1]} {name[2]}`" if name else "`taxi-flows data fetch yellow 2025-09`"
    there = _what_is_there(entry, keys, "The bucket")
    raise SourceNotFoundError(
        f"no object {entry!r} in bucket {bucket} of {store.describe()}. {there} Put a local file "
        f"there with `taxi-flows data put FILE`, or a month of TLC's with {fetch}."
    )


def _local_files(entry: str, bucket: str, store: ObjectStore) -> list[Path]:
    """Local files that one entry names."""
    path = Path(entry).expanduser() if entry.startswith("~/") else Path(entry)
    if path.exists():
        _check_file(path)
        return [path]
    found = _matching(path)
    for one in found:
        _check_file(one)
    return found or _refuse_missing_file(entry, path, bucket, store)


def _matching(pattern: Path) -> list[Path]:
    """Local files of a glob, by name."""
    names = sorted(glob.glob(str(pattern)))  # noqa: PTH207 - the pattern may be absolute
    return [path for name in names if not (path := Path(name)).is_dir()]


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UnreadableFileError(f"{path} is a directory: name its files, or use a glob such as '{path}/*.parquet'.")
    if not path.is_file():
        raise UnreadableFileError(f"{path} is no regular file: name a parquet, csv or csv.gz file.")
    if not os.access(path, os.R_OK):
        raise UnreadableFileError(f"{path} can't be read: check its permissions.")


def _refuse_missing_file(entry: str, path: Path, bucket: str, store: ObjectStore) -> NoReturn:
    if key_fault(entry) is None and store.stat(bucket, entry) is not None:
        raise SourceNotFoundError(
            f"{entry} is no local file, but an object in bucket {bucket} of {store.describe()}. Read it with --minio "
            "(use_minio=True)."
        )
    folder = path.parent
    names = [one.name for one in islice(folder.iterdir(), _SEARCHED) if one.is_file()] if folder.is_dir() else []
    there = _what_is_there(path.name, names, f"{folder}") if folder.is_dir() else f"There is no folder {folder}."
    raise SourceNotFoundError(f"no file {path}. {there} Check the name, or use --minio to read from the store.")


def _what_is_there(wanted: str, names: list[str], place: str) -> str:
    near = difflib.get_close_matches(wanted, names, n=_SHOWN)
    if near:
        return f"Near it are: {', '.join(near)}."
    if names:
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"{place} holds {', '.join(sorted(names)[:_SHOWN])}{more}."
    return f"{place} is empty."
