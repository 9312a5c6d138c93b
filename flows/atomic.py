"""Writes a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path

PARTIAL_SUFFIX = ".part"


def try_to_write(path: Path, size_bytes: int) -> None:
    """Do what `replacing` does, short of the rename, with that many bytes.

    Raises:
        OSError: the file could not be written.
    """
    partial = _partial(path)
    try:
        with partial.open("xb") as file:
            file.write(bytes(size_bytes))
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """Open a file that takes the place of `path` when the block ends; when it raises, `path` stays as it was.

    The file is written beside `path` (a rename is atomic only within a file system), as `.<name>.<random>.part`, and
    is on the disk before it is renamed.

    Raises:
        OSError: with a filename, also where the system call knows none (a full disk).
    """
    partial = _partial(path)
    try:
        try:
            with partial.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
