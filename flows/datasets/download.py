"""Resumable, checked downloads over HTTP.

Bytes arrive in a partial file whose name holds the server's validator (ETag or date), so that a later run goes on where
an earlier one stopped and two versions of a file are never mixed (RFC 9110, sections 13.1.5 and 14: If-Range, Range).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import httpx

from flows.core.atomic import remove_abandoned
from flows.core.errors import SourceError, SourceNotFoundError

Progress = Callable[[str, int, int], None]
"""Called with the name of the file, the bytes that are here and the bytes of the whole."""

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 1.0
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
# Storage behind a content network answers 403 for an object that isn't there.
_ABSENT_STATUS = frozenset({403, 404, 410})

_ABANDONED_SECONDS = 7 * 86_400.0
"""So long a download that broke off waits to be gone on with."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class RemoteFile:
    """What a server says about a file before it is read; validator is its strong ETag or its date, where it has one."""

    url: str
    size_bytes: int
    validator: str | None

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


class Downloader:
    """Asks for and receives files from one server; a context manager.

    Args:
        folder: where partial files stay.
        progress: told as bytes arrive.
        pause: waits the given seconds between attempts.
    """

    def __init__(self, folder: Path, progress: Progress, pause: Callable[[float], None] = time.sleep) -> None:
        self._folder = folder
        self._progress = progress
        self._pause = pause
        # Content must not be compressed on the way: sizes and ranges count the file's own bytes.
        self._client = httpx.Client(timeout=30, follow_redirects=True, headers={"Accept-Encoding": "identity"})

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, url: str) -> RemoteFile:
        """Find out whether a file is there and how large it is.

        Raises:
            SourceNotFoundError: the server has no such file.
            SourceError: the server can't be reached, or does not say how large the file is.
        """
        return self._retry(url, lambda: self._ask(url))

    def receive(self, remote: RemoteFile) -> Path:
        """Bring the whole file, going on from what an earlier call left; gives its path in the folder.

        Raises:
            SourceError: too many attempts failed, or another process receives the same file.
        """
        digest = hashlib.sha256(f"{remote.url} {remote.validator} {remote.size_bytes}".encode()).hexdigest()[:16]
        partial = self._folder / f"{remote.name}.{digest}.part"
        self._folder.mkdir(parents=True, exist_ok=True)
        others = [one for one in self._folder.glob("*.part") if one != partial]
        remove_abandoned([one for one in others if one.name.startswith(f"{remote.name}.")], age_seconds=-1)
        remove_abandoned(others, _ABANDONED_SECONDS)
        with partial.open("ab") as file:
            _lock(file, remote)
            self._retry(remote.url, lambda: self._receive(remote, file))
        return partial

    def _ask(self, url: str) -> RemoteFile:
        response = self._client.head(url)
        _raise_for(response)
        size = response.headers.get("Content-Length", "")
        if not size.isdecimal():
            raise SourceError(f"{url}: the server does not say how large the file is. Check TAXI_TLC_BASE_URL.")
        etag = response.headers.get("ETag", "")
        weak = not etag or etag.startswith("W/")
        return RemoteFile(url, int(size), response.headers.get("Last-Modified") if weak else etag)

    def _receive(self, remote: RemoteFile, file: BinaryIO) -> None:
        here = file.seek(0, 2)
        if here == remote.size_bytes:
            return
        headers = {}
        if 0 < here < remote.size_bytes and remote.validator is not None:
            headers = {"Range": f"bytes={here}-", "If-Range": remote.validator}
        with self._client.stream("GET", remote.url, headers=headers) as response:
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            expected = f"bytes {here}-{remote.size_bytes - 1}/{remote.size_bytes}"
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE or (
                resumed and response.headers.get("Content-Range") != expected
            ):
                file.truncate(0)
                raise _TransientError(f"the server has no bytes {here} to {remote.size_bytes}")
            _raise_for(response)
            if not resumed:
                here = 0
                file.truncate(0)
                announced = response.headers.get("Content-Length")
                if announced != str(remote.size_bytes):
                    raise _TransientError(f"the size changed from {remote.size_bytes} bytes to {announced}")
            for chunk in response.iter_raw():
                file.write(chunk)
                here += len(chunk)
                self._progress(remote.name, here, remote.size_bytes)
        file.flush()
        if here != remote.size_bytes:
            raise _TransientError(f"{here} of {remote.size_bytes} bytes came")

    def _retry(self, url: str, work: Callable[[], Result]) -> Result:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return work()
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
                raise SourceError(f"{url}: {error} Check TAXI_TLC_BASE_URL.") from error
            except (httpx.TransportError, _TransientError) as error:
                fault = str(error) or type(error).__name__
                if attempt == _ATTEMPTS:
                    raise SourceError(
                        f"{url}: {fault}, {_ATTEMPTS} times. Check the network and TAXI_TLC_BASE_URL, then run "
                        "this again: it goes on where it stopped."
                    ) from error
                seconds = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
                _LOG.warning("%s: %s; trying again in %.0f s", url, fault, seconds)
                self._pause(seconds)
        raise AssertionError("unreachable: the last attempt returns or raises")


class _TransientError(Exception):
    """A fault that may be gone in a moment; never leaves this module."""


def _raise_for(response: httpx.Response) -> None:
    """Sort the answer into absent, transient, wrong and good."""
    status = response.status_code
    if status in _ABSENT_STATUS:
        raise SourceNotFoundError(f"{response.url}: the server has no such file (HTTP {status}).")
    if status in _TRANSIENT_STATUS:
        raise _TransientError(f"the server answers HTTP {status}")
    if not response.is_success:
        raise SourceError(f"{response.url}: the server answers HTTP {status}. Check TAXI_TLC_BASE_URL.")


def _lock(file: BinaryIO, remote: RemoteFile) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SourceError(f"{remote.url}: another process downloads it now. Wait for that one to end.") from error
