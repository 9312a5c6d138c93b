"""Files that a person asked for: tried before hours of work, and written whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.core.atomic import try_to_write
from flows.core.errors import OutputError, ParameterError

_PROBE_BYTES = 1 << 20


def check_file(option: str, file: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that can't be written: its folder takes a file of that name, and some room is left.

    Raises:
        ParameterError: another suffix, a folder of that name, no folder to write to, no permission, or a full disk.
    """
    if file is None:
        return
    if file.suffix.lower() not in suffixes:
        raise ParameterError(f"{option} is {str(file)!r}: the name must end in {' or '.join(suffixes)}.")
    try:
        if file.is_dir():
            raise ParameterError(f"{option} is {str(file)!r}: that is a folder. Give the name of a file.")
        if not file.parent.is_dir():
            raise ParameterError(
                f"{option} is {str(file)!r}: there is no folder {str(file.parent)!r}. Create it first."
            )
        try_to_write(file, _PROBE_BYTES)
    except OSError as error:
        advice = "Free some space." if error.errno in {errno.ENOSPC, errno.EDQUOT} else "Check its permissions."
        raise ParameterError(f"{option} is {str(file)!r}: it can't be written: {error.strerror}. {advice}") from error


def refuse_to_overwrite(option: str, file: Path | None, sources: Sequence[str]) -> None:
    """Refuse a file that is read, too.

    Raises:
        ParameterError: it is one of the local files or globs of the data source.
    """
    if file is None or not file.exists():
        return
    for entry in sources:
        for path in (entry, *glob.iglob(os.path.expanduser(entry), recursive=True)):  # noqa: PTH111, PTH207
            if os.path.exists(path) and os.path.samefile(path, file):  # noqa: PTH110, PTH121
                raise ParameterError(f"{option} is {str(file)!r}: that file is the data source. Give another name.")


@contextmanager
def writing(file: Path, kept: str) -> Iterator[None]:
    """Say what is kept where a file can't be written after all.

    Raises:
        OutputError: instead of an OSError of the block.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{file} was not written: {error.strerror or error}. The result is kept: {kept}") from error
