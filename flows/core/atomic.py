"""Writes a file whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path

PARTIAL_SUFFIX = ".part"
ABANDONED_SECONDS = 3600.0
"""A partial file that nobody wrote to for so long, and that nobody holds, is of a writer that was killed."""

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)
_SHARE_OF_TIME = 0.01
_next_look: dict[Path, float] = {}


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
    is on the disk before it is renamed. Its writer holds a lock on it; what killed writers left there is removed.

    Raises:
        OSError: with a filename, also where the system call knows none (a full disk).
    """
    _clean(path.parent)
    partial = _partial(path)
    try:
        try:
            with partial.open("x+b") as file:
                with suppress(OSError):  # some network file systems have no locks; age alone counts there
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def is_partial(name: str) -> bool:
    """Whether a file of this name is one that `replacing` writes."""
    return _PARTIAL.fullmatch(name) is not None


def remove_abandoned(files: Iterable[Path], age_seconds: float = ABANDONED_SECONDS) -> None:
    """Remove the partial files among these that are old and that no process holds; leave those that can't be."""
    for file in files:
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > age_seconds:
                with file.open("rb") as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError where its writer lives
                    file.unlink()


def _clean(folder: Path) -> None:
    """Look for abandoned files, so seldom in a large folder that it takes a hundredth of the time."""
    started = time.monotonic()
    if started < _next_look.get(folder, 0.0):
        return
    with suppress(OSError), os.scandir(folder) as entries:
        remove_abandoned(Path(entry.path) for entry in entries if is_partial(entry.name))
    _next_look[folder] = started + (time.monotonic() - started) / _SHARE_OF_TIME
