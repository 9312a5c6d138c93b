"""Files into the object store, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flows.store import ObjectStore

Progress = Callable[[str, int, int], None]
"""Told a name, the bytes done and the bytes in all."""


class Put(NamedTuple):
    """One file in the store; sent: False where it was there already."""

    key: str
    size_bytes: int
    sent: bool


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
