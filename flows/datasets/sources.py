"""From what a person named to files that can be read: objects of the store, or local paths."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flows.core.errors import ParameterError, SourceNotFoundError, UnreadableFileError, ZoneTableError
from flows.core.text import printable
from flows.datasets.fetch import ZONE_TABLE_KEY
from flows.datasets.globs import Matches, files_below, is_glob, literal_beginning, match_files, match_keys
from flows.datasets.names import (
    fetch_command,
    is_table_in_parts,
    refuse_address,
    refuse_two_formats,
    shorten,
)
from flows.model.points import SourceFile
from flows.model.spec import ExperimentSpec
from flows.store import MAX_KEY_BYTES, LocalStore, key_fault

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.datasets.zones import ZoneTable
    from flows.store import ObjectStore

_LOG = logging.getLogger(__name__)
_COLUMNAR = ".parquet"
_SHOWN = 5
_LONGEST_SHOWN = 300
_SEARCHED = 10_000


@contextmanager
def resolve(spec: ExperimentSpec, settings: Settings, store: ObjectStore) -> Iterator[tuple[SourceFile, ...]]:
    """Find every file that `spec.data_source` names, in the order given; a glob's files by name.

    The files are readable while the block lasts. Names that a glob passes over are logged.

    Raises:
        ParameterError: a file is named twice or is there in two formats, or an entry is an address.
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
        names = [os.fsencode(path).decode(errors="backslashreplace") for path in paths]
        _refuse_twice(names, [str(path.resolve()) for path in paths])
        refuse_two_formats(names)
        yield _source_files(names, paths)


def object_keys(spec: ExperimentSpec, settings: Settings, store: ObjectStore) -> list[str]:
    """Keys of the objects that `spec.data_source` names, in the order given.

    Raises:
        ParameterError: an object is named twice or is there in two formats, or an entry is an address.
        SourceNotFoundError: an entry names nothing; the message says what is there.
        StoreError: the store does not answer.
    """
    keys = [key for entry in spec.data_source for key in _keys(entry, settings.data_bucket, store)]
    _refuse_twice(keys, keys)
    refuse_two_formats(keys)
    return keys


def zone_table(settings: Settings, store: ObjectStore) -> ZoneTable | None:
    """The taxi zones: of TAXI_ZONE_TABLE, else reference/taxi_zones.zip of the store; None where there is neither.

    Raises:
        ZoneTableError: it is there, but can't be read.
    """
    if settings.zone_table is None and store.stat(settings.data_bucket, ZONE_TABLE_KEY) is None:
        return None
    from flows.datasets.zones import load_zone_table

    if settings.zone_table is not None:
        return load_zone_table(settings.zone_table)
    with store.local_path(settings.data_bucket, ZONE_TABLE_KEY) as path:
        return load_zone_table(path)


def zone_table_or_fault(
    settings: Settings, store: ObjectStore
) -> tuple[ZoneTable, None] | tuple[None, ZoneTableError | None]:
    """The zone table, or why it can't be read, for those who can do without."""
    try:
        zones = zone_table(settings, store)
    except ZoneTableError as error:
        return None, error
    return (None, None) if zones is None else (zones, None)


def require_zone_table(zones: ZoneTable | None, settings: Settings, fault: ZoneTableError | None = None) -> ZoneTable:
    """The zone table of a run that can't do without.

    Args:
        fault: why the table that is there can't be read.

    Raises:
        ZoneTableError: there is none; the message says how to get it. Or the fault.
    """
    if fault is not None:
        raise fault
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
    refuse_address(entry, bucket)
    if len(entry.encode(errors="replace")) > MAX_KEY_BYTES:
        raise SourceNotFoundError(f"no object {_begin(entry)!r}: no key has more than {MAX_KEY_BYTES:,} bytes.")
    if key_fault(entry) is None and store.stat(bucket, entry) is not None:
        return [entry]
    folder = entry.rstrip("/")
    if is_glob(entry):
        found = match_keys(entry, (one.key for one in store.list(bucket, literal_beginning(entry))))
    elif is_table_in_parts(folder.rpartition("/")[2]) and key_fault(folder) is None:
        found = match_keys(f"{folder}/**", (one.key for one in store.list(bucket, f"{folder}/")))
    else:
        found = Matches()
    _say_passed_over(entry, found)
    if not found.files:
        _refuse_folders(entry, found)
        _refuse_missing_object(entry, bucket, store)
    return found.files


def _say_passed_over(entry: str, found: Matches) -> None:
    if found.files and found.hidden:
        _warn(f"{entry}: passed over hidden names: {shorten(found.hidden)}")
    if found.files and found.folders:
        _warn(f"{entry}: passed over folders: {shorten(found.folders)}. Name their files, too, or use **.")


@cache
def _warn(message: str) -> None:
    """Say it once, though a command looks for its source before it runs the flow that does."""
    _LOG.warning("%s", printable(message))


def _refuse_folders(entry: str, found: Matches) -> None:
    """Refuse a glob that names folders or hidden files alone."""
    passed_over = [*found.folders, *found.hidden]
    if passed_over:
        raise UnreadableFileError(
            f"{entry} matches no file, but {shorten(passed_over)}: folders are not read, and hidden names are passed "
            f"over. Name files, such as '{found.folders[0] if found.folders else ''}*.parquet'."
        )


def _refuse_missing_object(entry: str, bucket: str, store: ObjectStore) -> NoReturn:
    if isinstance(store, LocalStore) and _is_local(entry):
        raise SourceNotFoundError(
            f"{entry} is a local file, and no object in bucket {bucket} of {store.describe()}. Read it with "
            "--no-minio (use_minio=False), or put it there with `taxi-flows data put`."
        )
    keys = [one.key for one in islice(store.list(bucket), _SEARCHED)]
    if any(key.startswith(f"{entry.rstrip('/')}/") for key in keys):
        raise UnreadableFileError(f"{entry} is a folder of bucket {bucket}: name its objects, or use a glob.")
    there = _what_is_there(entry, [key for key in keys if key_fault(key) is None], "The bucket")
    raise SourceNotFoundError(
        f"no object {_begin(entry)!r} in bucket {bucket} of {store.describe()}. {there} Put a local file there with "
        f"`taxi-flows data put FILE`, or read it with --no-minio (use_minio=False); a month of TLC's comes with "
        f"{fetch_command(entry)}."
    )


def _is_local(entry: str) -> bool:
    """Whether an entry names a local file. Only asked where objects are local files, too: a pod has others' files."""
    with suppress(ParameterError, UnreadableFileError, OSError):
        return Path(entry).is_file() or (is_glob(entry) and bool(match_files(Path(entry)).files))
    return False


def _local_files(entry: str, bucket: str, store: ObjectStore) -> list[Path]:
    """Local files that one entry names."""
    path = Path(entry).expanduser() if entry.startswith("~/") else Path(entry)
    if os.path.lexists(path):
        found = _named(path)
    else:
        refuse_address(entry, bucket)
        found = match_files(path) if is_glob(entry) else Matches()
    _say_passed_over(entry, found)
    if not found.files:
        _refuse_folders(entry, found)
        _refuse_missing_file(entry, path, bucket, store)
    paths = [Path(one) for one in found.files]
    for one in paths:
        _check_file(one)
    return paths


def _named(path: Path) -> Matches:
    """What is there under that very name."""
    if not (path.is_dir() and is_table_in_parts(path.name)):
        return Matches([str(path)])
    found = files_below(path)
    if not found.files:
        raise UnreadableFileError(f"{path} is a directory without a file to read.")
    return found


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
    there = f"There is no folder {_begin(str(folder))}."
    with suppress(OSError), os.scandir(folder) as entries:
        names = [one.name for one in islice(entries, _SEARCHED) if one.is_file()]
        there = _what_is_there(path.name, names, f"{folder}")
    raise SourceNotFoundError(
        f"no file {_begin(str(path))}. {there} Check the name, or use --minio to read from the store."
    )


def _begin(name: str) -> str:
    """A name, or its beginning where it is very long."""
    return name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}..."


def _what_is_there(wanted: str, names: list[str], place: str) -> str:
    near = difflib.get_close_matches(wanted, names, n=_SHOWN)
    if near:
        return f"Near it are: {', '.join(near)}."
    if names:
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"{place} holds {', '.join(sorted(names)[:_SHOWN])}{more}."
    return f"{place} is empty."
