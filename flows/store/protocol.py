"""What every store can do, and what names an object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from flows.core.errors import StoreError

NO_TAGS: Mapping[str, str] = MappingProxyType({})

MAX_KEY_BYTES = 1024
"""Of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""

Sent = Callable[[int], None]
"""Told how many bytes of a file are in the store by now."""


class RemoteContent(Protocol):
    """An object of a remote store, whose parts are read where it is."""

    @property
    def size_bytes(self) -> int:
        """Size of the object."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from offset on; fewer than length where the object ends."""
        ...

    def sha256(self) -> str:
        """SHA-256 of the whole content, in hexadecimal."""
        ...


@dataclass(frozen=True)
class ObjectInfo:
    """One object. The etag changes when the content is replaced; compare it with nothing but an earlier etag."""

    bucket: str
    key: str
    size_bytes: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """Months of trips in one bucket, records in another. Each method raises StoreError where the store refuses."""

    def put_file(self, bucket: str, key: str, file: Path, sent: Sent | None = None) -> ObjectInfo:
        """Copy a local file into the store, replacing an object of that key."""

    def put_bytes(self, bucket: str, key: str, content: bytes, tags: Mapping[str, str] = NO_TAGS) -> ObjectInfo:
        """Keep these bytes, replacing an object of that key. Tags are for a store's own rules, such as expiry."""

    def get_bytes(self, bucket: str, key: str) -> bytes:
        """The content of an object; StoreError where there is none."""

    def stat(self, bucket: str, key: str) -> ObjectInfo | None:
        """What is known of an object without reading it; None where there is none."""

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose keys begin with the prefix, by key. Reads no folder that can't hold one."""

    def folders(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """The distinct beginnings of keys up to the first `/` after the prefix, in order, without visiting them."""

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def local_path(self, bucket: str, key: str) -> AbstractContextManager[Path]:
        """A file with the object's content and name, readable while the block lasts. Don't write to it."""

    def remote(self, bucket: str, key: str) -> RemoteContent | None:
        """Reads parts of an object where it is, without a copy; None where `local_path` needs no copy either."""

    def sha256(self, bucket: str, key: str) -> str:
        """SHA-256 of an object's content, in hexadecimal."""

    def location(self, bucket: str, key: str) -> str:
        """Where a person finds the object: a path, or an address."""

    def describe(self) -> str:
        """What this store is and where, for people."""


def key_fault(key: str) -> str | None:
    """Why a key can't name an object, or None."""
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if size_bytes > MAX_KEY_BYTES:
        return f"it has more than {MAX_KEY_BYTES:,} bytes"
    if any(char < " " or char == "\x7f" for char in key):
        return "it holds a control character"
    if key.startswith("/"):
        return "it is an absolute path"
    if "\\" in key:
        return "it holds a backslash"
    parts = key.split("/")
    if "" in parts:
        return "a part of it is empty"
    if any(part.startswith(".") for part in parts):
        return "a part of it begins with a dot"
    return None


def check_names(bucket: str, key: str | None) -> None:
    """Refuse what can't name an object.

    Raises:
        StoreError: the message says why.
    """
    for name, value in (("bucket", bucket), ("key", key)):
        fault = key_fault(value) if value is not None else None
        if fault is not None:
            raise StoreError(f"{name} {value!r} can't name an object: {fault}. Use a name such as 'folder/file'.")
