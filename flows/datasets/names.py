"""What the names of files and objects say: hidden or not, a table in parts, an address, a month."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from flows.core.errors import ParameterError

FIRST_MONTHS = {"yellow": "2009-01", "green": "2013-08", "fhv": "2015-01", "fhvhv": "2019-02"}
"""The services whose trips TLC publishes, and the first month of each."""

# pathlib and shells make one slash of two.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_TABLE = re.compile(r"(.+)\.(parquet|csv|csv\.gz)", re.IGNORECASE)
_PARTITION = re.compile(r"[^=]+=.*")
_TLC_NAME = re.compile(r"(yellow|green|fhv|fhvhv)_tripdata_(\d{4}-\d{2})\.parquet")
_SERVICE = re.compile(rf"(?<![a-z])({'|'.join(FIRST_MONTHS)})(?![a-z])")
_MONTH = re.compile(r"(?<!\d)(\d{4})-(0[1-9]|1[0-2])(?!\d)")
_PARTITION_YEAR, _PARTITION_MONTH = re.compile(r"year=(\d{4})"), re.compile(r"month=(\d{1,2})")
_SHOWN = 5


def is_hidden(part: str) -> bool:
    """Whether Hadoop, Spark and pyarrow pass over a file or folder of this name, as `.DS_Store` and `_SUCCESS`."""
    return part.startswith(".") or (part.startswith("_") and _PARTITION.fullmatch(part) is None)


def is_table_in_parts(folder: str) -> bool:
    """Whether a folder of this name holds the parts of one table: `month.parquet`, `year=2016`."""
    return _TABLE.fullmatch(folder) is not None or _PARTITION.fullmatch(folder) is not None


def fetch_command(name: str) -> str:
    """How to get a file of that name from TLC."""
    known = _TLC_NAME.search(name)
    return f"`taxi-flows data fetch {known[1]} {known[2]}`" if known else "`taxi-flows data fetch yellow 2025-09`"


def refuse_address(entry: str, data_bucket: str) -> None:
    """Refuse what is an address rather than a name.

    Raises:
        ParameterError: the message says what to name instead.
    """
    found = _ADDRESS.match(entry)
    if found is None:
        return
    scheme, rest = found[1].lower(), entry[found.end() :]
    fetch = f"A month of TLC's is downloaded into the store with {fetch_command(entry)}"
    if scheme == "file":
        path = f"/{rest.removeprefix('localhost/')}"
        advice = f"Name the path with --no-minio (use_minio=False): {path}. {fetch}."
    elif scheme == "s3" and rest.startswith(f"{data_bucket}/"):
        advice = (
            f"Name the object's key with --minio (use_minio=True): {rest.removeprefix(f'{data_bucket}/')}. {fetch}."
        )
    else:
        advice = f"{fetch}; download any other file yourself, then name it, or put it there with `taxi-flows data put`."
    raise ParameterError(f"{without_password(entry)} is an address: addresses are not read. {advice}")


def without_password(address: str) -> str:
    """An address as it may be shown: no user, no password, no signature."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else address


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def refuse_two_formats(names: Sequence[str]) -> None:
    """Refuse a file that is there in two formats.

    Raises:
        ParameterError: the message names both.
    """
    seen: dict[str, tuple[str, str]] = {}
    for name in names:
        table = _TABLE.fullmatch(name)
        if table is None:
            continue
        stem, suffix = table[1], table[2].lower()
        if _MONTH.search(last := stem.rpartition("/")[2]):  # it is the same month wherever the file lies
            stem = last
        first, known = seen.setdefault(stem, (name, suffix))
        if known != suffix:
            raise ParameterError(
                f"data_source names {first} and {name}: the same month in two formats, whose trips would count twice. "
                "Name one of them, such as by a glob that ends in its format."
            )


class Month(NamedTuple):
    """What the name of a file says: service (empty where it says none) and YYYY-MM."""

    service: str
    month: str


def month_of(name: str) -> Month | None:
    """The month that the last part of a name, or its folders `year=`, `month=`, say; None where there is none."""
    last = PurePosixPath(name).name.lower()
    service = _SERVICE.search(last)
    months = ["-".join(found) for found in _MONTH.findall(last)]
    if not months:
        year, month = (re.search(pattern, name) for pattern in (_PARTITION_YEAR, _PARTITION_MONTH))
        months = [f"{year[1]}-{int(month[1]):02}"] if year and month else []
    return Month(service[1] if service else "", max(months)) if months else None


def months_in_words(names: Sequence[str]) -> str:
    """How many months these files are by their names; empty where a name says none."""
    files = defaultdict[Month, list[str]](list)
    for name in names:
        month = month_of(name)
        if month is None:
            return ""
        files[month].append(name)
    months = sorted({month.month for month in files})
    span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    twice = "".join(_twice(month, names) for month, names in files.items() if len(names) > 1 and month.service)
    return f"{len(months)} {'month' if len(months) == 1 else 'months'} by name: {span}{twice}"


def _twice(month: Month, names: list[str]) -> str:
    return f"; {month.service} {month.month} is in {len(names)} files: {shorten(names)}"
