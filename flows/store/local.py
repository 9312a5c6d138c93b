"""Objects as files below one directory."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import BinaryIO

from flows.core.atomic import PARTIAL_SUFFIX, is_partial, remove_abandoned, replacing
from flows.core.errors import StoreError
from flows.store.protocol import NO_TAGS, ObjectInfo, Sent, check_names

_CHUNK_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class LocalStore:
    """Objects as files: `<root>/<bucket>/<key>`.

    The etag is size and time of change, so that asking for it costs the same for a file of any size.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put_file(self, bucket: str, key: str, file: Path, sent: Sent | None = None) -> ObjectInfo:
        """Copy a local file into the store."""
        try:
            content = file.open("rb")
        except OSError as error:
            raise StoreError(f"{file} can't be put into the store: {error.strerror}.") from error
        with content:
            return self._put(bucket, key, content, sent)

    def put_bytes(self, bucket: str, key: str, content: bytes, tags: Mapping[str, str] = NO_TAGS) -> ObjectInfo:
        """Keep these bytes. There are no rules here, so no tags."""
        return self._put(bucket, key, BytesIO(content))

    def _put(self, bucket: str, key: str, content: BinaryIO, sent: Sent | None = None) -> ObjectInfo:
        target = self._path(bucket, key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                written = _Hashing(file, sent)
                shutil.copyfileobj(content, written, _CHUNK_BYTES)
                _check(file, written, target)
            _sync_folder(target.parent)
            return _info(bucket, key, target.stat())
        except OSError as error:
            raise StoreError(f"{target} was not written: {error.strerror or error}. {_advice(error)}") from error

    def get_bytes(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        with self.local_path(bucket, key) as file:
            return file.read_bytes()

    def stat(self, bucket: str, key: str) -> ObjectInfo | None:
        """What is known of an object."""
        found = _look_at(self._path(bucket, key))
        return _info(bucket, key, found) if found is not None else None

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose keys begin with the prefix."""
        folder, _, start = prefix.rpartition("/")
        yield from self._below(bucket, folder, self._path(bucket, folder if "/" in prefix else None), start)

    def _below(self, bucket: str, folder: str, path: Path, start: str = "") -> Iterator[ObjectInfo]:
        """As another S3 client may have put anything, keys that can't be named here are listed, too."""
        for entry in _scan(path, start):
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                yield from self._below(bucket, key, Path(entry.path))
            elif (found := _look_at(entry)) is not None:  # else it was deleted meanwhile
                yield _info(bucket, key, found)

    def folders(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """The folders in which keys with the prefix go on, each with its `/`."""
        folder, _, start = prefix.rpartition("/")
        for entry in _scan(self._path(bucket, folder if "/" in prefix else None), start):
            if entry.is_dir():
                yield f"{folder}/{entry.name}/" if folder else f"{entry.name}/"

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        path = self._path(bucket, key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} was not deleted: {error.strerror}. {_advice(error)}") from error

    @contextmanager
    def local_path(self, bucket: str, key: str) -> Iterator[Path]:
        """The object's own file."""
        path = self._path(bucket, key)
        if not path.is_file():
            raise StoreError(f"there is no object {key!r} in bucket {bucket!r} of {self.describe()}.")
        if not os.access(path, os.R_OK):
            raise StoreError(f"{path} can't be read: check its permissions.")
        yield path

    def remote(self, bucket: str, key: str) -> None:
        """None: the object's own file is at hand."""

    def sha256(self, bucket: str, key: str) -> str:
        """Of the file, which is read."""
        with self.local_path(bucket, key) as file, file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def location(self, bucket: str, key: str) -> str:
        """The object's path."""
        return str(self._path(bucket, key))

    def describe(self) -> str:
        """The directory."""
        return f"the local store {self._root}"

    def _path(self, bucket: str, key: str | None) -> Path:
        """The file of an object, or the folder of a bucket."""
        check_names(bucket, key)
        return self._root / bucket / key if key is not None else self._root / bucket


def _info(bucket: str, key: str, found: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    return ObjectInfo(bucket, key, found.st_size, f"{found.st_size:x}-{found.st_mtime_ns:x}", modified)


def _look_at(file: Path | os.DirEntry[str]) -> os.stat_result | None:
    """Size and times of a regular file; None where there is none."""
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no file system holds it, so it is not there
            return None
        raise StoreError(f"{os.fspath(file)} can't be looked at: {error.strerror}. {_advice(error)}") from error
    return found if stat.S_ISREG(found.st_mode) else None


def _scan(folder: Path, start: str) -> list[os.DirEntry[str]]:
    """Entries whose names begin with `start`, in the order that their keys sort in."""
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{folder} can't be listed: {error.strerror}. {_advice(error)}") from error
    remove_abandoned(Path(one.path) for one in listed if is_partial(one.name))
    found = [one for one in listed if one.name.startswith(start) and not _is_partial(one.name)]
    return sorted(found, key=lambda entry: f"{entry.name}/" if entry.is_dir() else entry.name)


class _Hashing:
    """A file to write to that counts and hashes what it is given."""

    def __init__(self, file: BufferedRandom, sent: Sent | None) -> None:
        self._file, self._sent = file, sent
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> int:
        """Write one chunk."""
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        if self._sent is not None:
            self._sent(self.size_bytes)
        return self._file.write(chunk)

    def hexdigest(self) -> str:
        """SHA-256 of all chunks."""
        return self._hash.hexdigest()


def _check(file: BufferedRandom, written: _Hashing, target: Path) -> None:
    """Read a file again and compare it with what was written to it."""
    file.flush()
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes != written.size_bytes:
        raise StoreError(f"{target}: {written.size_bytes} bytes were written, {size_bytes} are there. Check the disk.")
    file.seek(0)
    if hashlib.file_digest(file, "sha256").hexdigest() != written.hexdigest():
        raise StoreError(f"{target}: other bytes were read than were written. Check the disk.")


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(PARTIAL_SUFFIX)


def _advice(error: OSError) -> str:
    if error.errno in _FULL:
        return "The disk is full: free some space, or choose another directory with TAXI_STORE_DIR."
    if error.errno in _FORBIDDEN:
        return "Make the directory writable, or choose another with TAXI_STORE_DIR."
    return "Check the directory that TAXI_STORE_DIR names."
