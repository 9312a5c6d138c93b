"""What a glob names, the same among local files and object keys.

`*`, `?` and `[...]` stay within one folder; `**` between slashes stands for any number of folders. A folder that is a
table in parts, as Spark, Dask and Hive write them, is all files in it. Hidden names are passed over, unless the glob
itself begins so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from flows.core.errors import ParameterError, UnreadableFileError
from flows.datasets.names import is_hidden, is_table_in_parts

_WILD = re.compile(r"[*?[]")
_ANY_DEPTH = "**"

States = frozenset[int]


@dataclass(frozen=True)
class Matches:
    """Names in order. hidden: passed over for their names. folders: passed over as they are plain folders."""

    files: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def is_glob(name: str) -> bool:
    """Whether a name holds a wildcard."""
    return _WILD.search(name) is not None


def literal_beginning(pattern: str) -> str:
    """What every name begins with that the pattern can match."""
    wild = _WILD.search(pattern)
    return pattern if wild is None else pattern[: wild.start()]


class Glob:
    """A pattern, read part by part.

    Raises:
        ParameterError: `**` stands beside other characters; the message holds `shown`.
    """

    def __init__(self, pattern: str, shown: str) -> None:
        parts = [part for part in pattern.split("/") if part]
        if any(_ANY_DEPTH in part and part != _ANY_DEPTH for part in parts):
            raise ParameterError(
                f"data_source is {shown!r}: ** must stand alone between slashes, as in '2016/**/*.parquet'; "
                "within a name use *."
            )
        self._parts = tuple(
            part for part, before in zip(parts, ["", *parts], strict=False) if not part == before == _ANY_DEPTH
        )
        self.start = self._further({0})

    def step(self, states: States, part: str) -> States:
        """Where the pattern can be after one more part of a name."""
        reached: set[int] = set()
        for state in states:
            if state < len(self._parts):
                if self._parts[state] == _ANY_DEPTH:
                    reached.add(state)
                elif fnmatchcase(part, self._parts[state]):
                    reached.add(state + 1)
        return self._further(reached)

    def matches(self, states: States) -> bool:
        """Whether the pattern is at its end."""
        return len(self._parts) in states

    def goes_on(self, states: States) -> bool:
        """Whether a longer name may match."""
        return any(state < len(self._parts) for state in states)

    def passes_over(self, part: str) -> bool:
        """Whether a part is hidden, and not asked for."""
        return is_hidden(part) and not any(
            pattern[0] == part[0] and fnmatchcase(part, pattern) for pattern in self._parts
        )

    def _further(self, states: set[int]) -> States:
        """`**` may stand for no folder at all."""
        skipped = {state + 1 for state in states if state < len(self._parts) and self._parts[state] == _ANY_DEPTH}
        return frozenset(states | skipped)


def match_keys(pattern: str, keys: Iterable[str]) -> Matches:
    """The keys of objects that a pattern names, in their order.

    Raises:
        ParameterError: `**` stands beside other characters.
    """
    glob, found = Glob(pattern, pattern), Matches()
    for key in keys:
        _match_key(glob, key, found)
    return found


def _match_key(glob: Glob, key: str, found: Matches) -> None:
    parts = key.split("/")
    states, in_table = glob.start, False
    for place, part in enumerate(parts):
        is_last = place == len(parts) - 1
        beginning = "/".join(parts[: place + 1]) + ("" if is_last else "/")
        if not part:  # `folder/`, or `a//b`
            is_plain = place > 0 and not in_table and not glob.goes_on(states)
            return _add(found.folders if is_plain else found.hidden, key)
        if not in_table:
            states = glob.step(states, part)
            if not states:
                return None
        if glob.passes_over(part) or part.startswith("."):  # a store names no object so
            return _add(found.hidden, beginning) if in_table or not is_last or glob.matches(states) else None
        if is_last:
            return _add(found.files, key) if in_table or glob.matches(states) else None
        if glob.matches(states) and is_table_in_parts(part):
            in_table = True
        elif glob.matches(states) and not glob.goes_on(states):
            return _add(found.folders, beginning)
    return None


def match_files(pattern: Path) -> Matches:
    """The local files that a pattern names, by name.

    Raises:
        ParameterError: `**` stands beside other characters.
        UnreadableFileError: a folder can't be listed.
    """
    parts = pattern.parts
    n_literal = next((place for place, part in enumerate(parts) if is_glob(part)), len(parts))
    found = Matches()
    glob = Glob("/".join(parts[n_literal:]), str(pattern))
    _walk(glob, Path(*parts[:n_literal]), glob.start, False, frozenset(), found)
    return found


def files_below(folder: Path) -> Matches:
    """All files of a table in parts."""
    found, glob = Matches(), Glob("*", "*")
    _walk(glob, folder, glob.start, True, frozenset(), found)
    return found


def _walk(glob: Glob, folder: Path, states: States, in_table: bool, above: frozenset[str], found: Matches) -> None:
    for name, is_folder in _entries(folder):
        path = folder / name
        reached = states if in_table else glob.step(states, name)
        if not (in_table or glob.matches(reached) or (is_folder and glob.goes_on(reached))):
            continue
        if glob.passes_over(name):
            _add(found.hidden, f"{path}/" if is_folder else str(path))
        elif not is_folder:
            _add(found.files, str(path))
        elif in_table or (glob.matches(reached) and is_table_in_parts(name)):
            _descend(glob, path, reached, True, above, found)
        elif glob.goes_on(reached):
            _descend(glob, path, reached, False, above, found)
        else:
            _add(found.folders, f"{path}/")


def _descend(glob: Glob, folder: Path, states: States, in_table: bool, above: frozenset[str], found: Matches) -> None:
    """A link to a folder that it lies in is not followed."""
    real = os.path.realpath(folder)
    if real not in above:
        _walk(glob, folder, states, in_table, above | {real}, found)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Names in a folder, by name, each with whether it is a folder itself."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir()) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{folder} can't be listed: {getattr(error, 'strerror', None) or error}.") from error


def _add(names: list[str], name: str) -> None:
    if not names or names[-1] != name:
        names.append(name)
