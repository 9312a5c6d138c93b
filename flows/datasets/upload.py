"""Files into the object store, each once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flows.core.errors import ParameterError, SourceError, UnreadableFileError
from flows.datasets.names import refuse_address
from flows.store import ObjectStore, key_fault

if TYPE_CHECKING:
    from flows.core.settings import Settings

Progress = Callable[[str, int, int], None]
"""Told a name, the bytes done and the bytes in all."""


class Put(NamedTuple):
    """One file in the store; sent: False where it was there already."""

    key: str
    size_bytes: int
    sent: bool


def keys_of(files: Sequence[str], key: str | None, settings: Settings) -> dict[str, Path]:
    """The key of each file, checked before the first is put: its name, or the key given.

    Raises:
        ParameterError: an address, a key that can't name an object, two files of one key, or a key for several files.
        SourceError: a file is not there, not regular or can't be read.
    """
    if key is not None and len(files) > 1:
        raise ParameterError(f"--as names one object, {len(files)} files are given: put them one by one.")
    keyed: dict[str, Path] = {}
    for name in files:
        file = Path(name)
        _check_file(file, name, settings)
        object_key = file.name if key is None else key
        fault = key_fault(object_key)
        if fault is not None:
            raise ParameterError(f"{object_key!r} can't be a key: {fault}. Name one with --as. Nothing was put.")
        if object_key in keyed:
            raise ParameterError(
                f"{keyed[object_key]} and {file} would both become the object {object_key}, and one would replace the "
                f"other. Put them one by one with --as, such as --as '{_folder_key(file)}'. Nothing was put."
            )
        keyed[object_key] = file
    return keyed


def _check_file(file: Path, name: str, settings: Settings) -> None:
    if not os.path.lexists(file):
        refuse_address(name, settings.data_bucket)
    with suppress(OSError):  # a name that is too long for the file system names nothing
        if file.is_file():
            if os.access(file, os.R_OK):
                return
            raise UnreadableFileError(f"{file}: can't be read, check its permissions. Nothing was put.")
    fault = "not a regular file" if os.path.lexists(file) else "no such file"
    raise SourceError(f"{file}: {fault}. Nothing was put.")


def _folder_key(file: Path) -> str:
    """A key that tells files of one name by their folder."""
    return "/".join(part for part in file.parts[-2:] if part not in {"/", "..", "."})


def put_file(store: ObjectStore, bucket: str, key: str, file: Path, progress: Progress) -> Put:
    """Put a file, unless an object of that key has the same size and SHA-256.

    Raises:
        StoreError: the store did not take it.
    """
    size_bytes = file.stat().st_size
    there = store.stat(bucket, key)
    if there is not None and there.size_bytes == size_bytes and store.sha256(bucket, key) == _sha256(file):
        return Put(key, size_bytes, sent=False)
    store.put_file(bucket, key, file, lambda done: progress(key, done, size_bytes))
    return Put(key, size_bytes, sent=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
