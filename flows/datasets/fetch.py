"""Brings TLC's published months, and its zone table, into the object store."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.core.errors import ParameterError, SourceNotFoundError, UnreadableFileError
from flows.datasets.names import FIRST_MONTHS

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.datasets.download import Downloader, Progress
    from flows.store import ObjectStore

ZONE_TABLE_KEY = "reference/taxi_zones.zip"

# First and last bytes of a whole file: a log-in page or an error page has the announced size, too.
_MAGIC = {".parquet": (b"PAR1", b"PAR1"), ".zip": (b"PK\x03\x04", b"")}


@dataclass(frozen=True)
class Fetched:
    """One object of the store; `downloaded` is False where it was there already."""

    key: str
    size_bytes: int
    downloaded: bool


def fetch_month(
    service: str,
    month: str,
    settings: Settings,
    store: ObjectStore,
    progress: Progress,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Fetched, Fetched]:
    """Bring one month's trips and the zone table into the data bucket; an object of the same size is kept.

    Args:
        service: yellow, green, fhv or fhvhv.
        month: YYYY-MM.
        settings: names the server (`tlc_base_url`) and the folder of partial files (`store_dir`/tmp).
        store: takes the files.
        progress: told as bytes arrive.
        pause: waits the given seconds between attempts.

    Raises:
        ParameterError: unknown service, not a month, or a month before the service's first.
        SourceNotFoundError: TLC has no such file.
        UnreadableFileError: what TLC sent is not of its format.
        SourceError: TLC can't be reached; run it again to go on where it stopped.
        StoreError: the store did not take the file.
    """
    check_month(service, month)
    from flows.datasets.download import Downloader

    key = f"{service}_tripdata_{month}.parquet"
    with Downloader(settings.store_dir / "tmp", progress, pause) as downloader:
        try:
            trips = _fetch(f"trip-data/{key}", key, settings, store, downloader)
        except SourceNotFoundError as error:
            raise SourceNotFoundError(
                f"TLC has no {service} trips of {month}. It publishes a month about two months after its end: "
                f"try an earlier one. ({error})"
            ) from error
        return trips, _fetch("misc/taxi_zones.zip", ZONE_TABLE_KEY, settings, store, downloader)


def check_month(service: str, month: str) -> None:
    """Refuse a service or month that TLC never published.

    Raises:
        ParameterError: the message names what is accepted.
    """
    if service not in FIRST_MONTHS:
        raise ParameterError(f"service is {service!r}: use one of {', '.join(FIRST_MONTHS)}.")
    if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month) is None:
        raise ParameterError(f"month is {month!r}: write it as YYYY-MM, such as 2025-09.")
    if month < FIRST_MONTHS[service]:
        raise ParameterError(f"month is {month}: TLC's {service} trips begin in {FIRST_MONTHS[service]}.")


def _fetch(path: str, key: str, settings: Settings, store: ObjectStore, downloader: Downloader) -> Fetched:
    remote = downloader.ask(f"{settings.tlc_base_url.rstrip('/')}/{path}")
    there = store.stat(settings.data_bucket, key)
    if there is not None and there.size_bytes == remote.size_bytes:
        return Fetched(key, remote.size_bytes, downloaded=False)
    partial = downloader.receive(remote)
    _check_format(partial, remote.url)
    store.put_file(settings.data_bucket, key, partial)
    partial.unlink()
    return Fetched(key, remote.size_bytes, downloaded=True)


def _check_format(file: Path, url: str) -> None:
    first, last = _MAGIC[Path(url).suffix]
    with file.open("rb") as content:
        head = content.read(len(first))
        content.seek(max(0, file.stat().st_size - len(last)))
        tail = content.read(len(last))
    if (head, tail) != (first, last):
        file.unlink()
        raise UnreadableFileError(
            f"{url}: what came is no {Path(url).suffix[1:]} file, it begins with {head!r}. Is there a proxy or a "
            "log-in page on the way? Check TAXI_TLC_BASE_URL."
        )
