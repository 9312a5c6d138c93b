"""Objects in MinIO or another S3 store.

Requests are repeated where the store is away for a while or answers that it is busy, for about a minute in all. What is
put carries its SHA-256 as metadata, so that nobody has to read it to compare.
"""

from __future__ import annotations

import hashlib
import io
import logging
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

import urllib3
from minio import Minio
from minio.commonconfig import Tags
from minio.error import S3Error
from urllib3.exceptions import MaxRetryError, NameResolutionError, ProtocolError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse

from flows.core.errors import StoreError
from flows.store.faults import MISSING_OBJECT, Request, in_words
from flows.store.protocol import NO_TAGS, ObjectInfo, RemoteContent, Sent, check_names

Answer = TypeVar("Answer")

PART_BYTES = 16 << 20
"""Size of one part of a multipart upload."""
_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 64 << 10
_SHA256 = "x-amz-meta-sha256"
RETRIES = 9
_BACKOFF_SECONDS, _MOST_BACKOFF_SECONDS = 0.5, 16.0
"""Waits of 0, 1, 2, 4, 8, 16, 16, 16 and 16 s."""
_UNKNOWN_NAME_TRIES = 5
"""For a name that DNS says there is not: a Service that is made anew has none for a moment, a mistyped one never."""
_BODY_TRIES = 4
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
_LOGGER = logging.getLogger(__name__)


class MinioStore:
    """The store behind an endpoint, with the rights of one user.

    Args:
        endpoint: host:port.
        access_key: of the user.
        secret_key: of the user.
        secure: speak TLS.
        part_bytes: files above this size are put in parts of it.
        retries: how often a request is repeated.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        secure: bool,
        part_bytes: int = PART_BYTES,
        retries: int = RETRIES,
    ) -> None:
        self._endpoint, self._part_bytes = endpoint, part_bytes
        repeated = _Repeated(
            total=retries,
            backoff_factor=_BACKOFF_SECONDS,
            backoff_max=_MOST_BACKOFF_SECONDS,
            status_forcelist=(500, 502, 503, 504),
            raise_on_status=False,
        )
        self._client = Minio(
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region="us-east-1",  # MinIO's own; naming it saves a request
            http_client=urllib3.PoolManager(timeout=_TIMEOUT, retries=repeated, maxsize=8),
        )

    def put_file(self, bucket: str, key: str, file: Path, sent: Sent | None = None) -> ObjectInfo:
        """Put a local file, in parts where it is large."""
        try:
            with file.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
                size_bytes = content.tell()
                content.seek(0)
                return self._put(bucket, key, _Counting(content, sent), size_bytes, sha256)
        except OSError as error:
            raise StoreError(f"{file} can't be put into the store: {error.strerror or error}.") from error

    def put_bytes(self, bucket: str, key: str, content: bytes, tags: Mapping[str, str] = NO_TAGS) -> ObjectInfo:
        """Put these bytes."""
        sha256 = hashlib.sha256(content).hexdigest()
        return self._put(bucket, key, _Counting(io.BytesIO(content), None), len(content), sha256, tags)

    def _put(
        self,
        bucket: str,
        key: str,
        content: _Counting,
        size_bytes: int,
        sha256: str,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> ObjectInfo:
        """The store checks each part by its checksum; here size, etag and the file itself are checked."""
        check_names(bucket, key)
        with in_words(self._request("writing", bucket, key)):
            written = self._client.put_object(
                bucket,
                key,
                io.BufferedReader(content, _CHUNK_BYTES),
                size_bytes,
                metadata={"sha256": sha256},
                tags=_tags(tags),
                part_size=self._part_bytes,
            )
        found = self.stat(bucket, key)
        if found is None or (found.size_bytes, found.etag) != (size_bytes, written.etag):
            raise StoreError(
                f"{self.location(bucket, key)}: {size_bytes} bytes with etag {written.etag} were written, found "
                f"{found}. "
                "Somebody else writes to it, or the store lost it; put it again."
            )
        if content.sha256() != sha256:
            self.delete(bucket, key)
            raise StoreError(f"{self.location(bucket, key)}: the file changed while it was put. Put it again.")
        return found

    def get_bytes(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        check_names(bucket, key)
        return self._read(bucket, key, lambda answer: answer.read())

    def stat(self, bucket: str, key: str) -> ObjectInfo | None:
        """What is known of an object."""
        found = self._head(bucket, key)
        return found[0] if found is not None else None

    def _head(self, bucket: str, key: str) -> tuple[ObjectInfo, str | None] | None:
        """An object and its SHA-256, where its metadata have one."""
        check_names(bucket, key)
        with in_words(self._request("looking at", bucket, key)):
            try:
                found = self._client.stat_object(bucket, key)
            except S3Error as error:
                if error.code in MISSING_OBJECT:
                    return None
                raise
        if found.size is None or found.etag is None or found.last_modified is None:
            raise StoreError(f"{self.location(bucket, key)}: the store tells neither size nor etag nor time.")
        info = ObjectInfo(bucket, key, found.size, found.etag, found.last_modified)
        return info, (found.metadata or {}).get(_SHA256)

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose keys begin with the prefix."""
        check_names(bucket, None)
        with in_words(self._request("listing", bucket, prefix)):
            for found in self._client.list_objects(bucket, prefix=prefix, recursive=True):
                if found.object_name and found.size is not None and found.etag and found.last_modified:
                    yield ObjectInfo(bucket, found.object_name, found.size, found.etag, found.last_modified)

    def folders(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """The beginnings of keys up to the next `/`."""
        check_names(bucket, None)
        with in_words(self._request("listing", bucket, prefix)):
            found = self._client.list_objects(bucket, prefix=prefix, recursive=False)
            names = sorted(one.object_name for one in found if one.is_dir and one.object_name)
        yield from names

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        check_names(bucket, key)
        with in_words(self._request("deleting", bucket, key)):
            self._client.remove_object(bucket, key)

    @contextmanager
    def local_path(self, bucket: str, key: str) -> Iterator[Path]:
        """A copy in a folder for temporary files."""
        found = self.stat(bucket, key)
        if found is None:
            raise StoreError(f"there is no object {key!r} in bucket {bucket!r} of {self.describe()}.")
        with tempfile.TemporaryDirectory(prefix="taxi-flows-") as folder:
            target = Path(folder) / key.rpartition("/")[2]
            self._read(bucket, key, lambda answer: _copy(answer, target), found.etag)
            if target.stat().st_size != found.size_bytes:
                came = target.stat().st_size
                raise StoreError(f"{self.location(bucket, key)} has {found.size_bytes} bytes, {came} came. Try again.")
            yield target

    def remote(self, bucket: str, key: str) -> RemoteContent:
        """Reads parts of an object; each part is of the content that was there when this was called."""
        found = self._head(bucket, key)
        if found is None:
            raise StoreError(f"there is no object {key!r} in bucket {bucket!r} of {self.describe()}.")
        return MinioContent(self, *found)

    def sha256(self, bucket: str, key: str) -> str:
        """From the metadata; an object that another tool put is read."""
        found = self._head(bucket, key)
        if found is not None and found[1] is not None:
            return found[1]
        _LOGGER.info("reading %s for its checksum, which its metadata lack", self.location(bucket, key))
        return self._read(bucket, key, _hash)

    def read_range(self, found: ObjectInfo, offset: int, length: int) -> bytes:
        """Bytes of an object, refused where it has been replaced since it was found."""
        return self._read(found.bucket, found.key, lambda answer: answer.read(), found.etag, offset, length)

    def location(self, bucket: str, key: str) -> str:
        """The object's address."""
        return f"s3://{bucket}/{key}"

    def describe(self) -> str:
        """The endpoint."""
        return f"MinIO at {self._endpoint}"

    def _request(self, doing: str, bucket: str, key: str) -> Request:
        return Request(doing, bucket, key, self.describe())

    def _read(
        self,
        bucket: str,
        key: str,
        take: Callable[[BaseHTTPResponse], Answer],
        etag: str | None = None,
        offset: int = 0,
        length: int = 0,
    ) -> Answer:
        """What `take` makes of an object's bytes. A body that breaks off is asked for again."""
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{etag}"'} if etag is not None else {}
        with in_words(self._request("reading", bucket, key)):
            for attempt in range(1, _BODY_TRIES + 1):
                try:
                    answer = self._client.get_object(bucket, key, offset, length, request_headers=headers)
                    with answer:
                        return take(answer)
                except (ProtocolError, ReadTimeoutError) as error:
                    if attempt == _BODY_TRIES:
                        raise
                    _LOGGER.warning("%s broke off (%s): reading it again", self.location(bucket, key), error)
                    time.sleep(_BACKOFF_SECONDS * 2**attempt)
        raise StoreError(f"{self.location(bucket, key)} could not be read.")


class MinioContent:
    """An object as it was when it was found. Its last bytes, a parquet file's footer, are asked for once."""

    def __init__(self, store: MinioStore, found: ObjectInfo, sha256: str | None) -> None:
        self._store, self._found, self._sha256 = store, found, sha256
        self._tail = b""

    @property
    def size_bytes(self) -> int:
        """Size of the object."""
        return self._found.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from offset on; fewer than length where the object ends.

        Raises:
            StoreError: the object was replaced, or the store does not answer.
        """
        length = min(length, self.size_bytes - offset)
        if length <= 0:
            return b""
        first = max(0, self.size_bytes - _TAIL_BYTES)
        if offset < first:
            return self._store.read_range(self._found, offset, length)
        if not self._tail:
            self._tail = self._store.read_range(self._found, first, self.size_bytes - first)
        return self._tail[offset - first : offset - first + length]

    def sha256(self) -> str:
        """SHA-256 of the whole content, in hexadecimal."""
        if self._sha256 is None:
            self._sha256 = self._store.sha256(self._found.bucket, self._found.key)
        return self._sha256


def _tags(tags: Mapping[str, str]) -> Tags | None:
    found = Tags.new_object_tags()
    found.update(tags)
    return found if found else None


class _Counting(io.RawIOBase):
    """A file to read from that hashes and tells what was taken."""

    def __init__(self, file: BinaryIO, sent: Sent | None) -> None:
        super().__init__()
        self._file, self._sent = file, sent
        self._hash, self._size_bytes = hashlib.sha256(), 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower, as io calls it
        """Read a piece."""
        piece = self._file.read(len(target))
        target[: len(piece)] = piece
        self._hash.update(piece)
        self._size_bytes += len(piece)
        if self._sent is not None:
            self._sent(self._size_bytes)
        return len(piece)

    def sha256(self) -> str:
        """Of all that was read."""
        return self._hash.hexdigest()


class _Repeated(urllib3.Retry):
    """urllib3's repetition of requests, which says in the log why it waits."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: urllib3.connectionpool.ConnectionPool | None = None,
        _stacktrace: object = None,
    ) -> Self:
        """One more try, or MaxRetryError."""
        unknown = [one.error for one in self.history if _names_nobody(one.error)]
        if _pool is not None and _names_nobody(error) and len(unknown) + 1 >= _UNKNOWN_NAME_TRIES:
            raise MaxRetryError(_pool, url or "", error)
        further = super().increment(method, url, response, error, _pool, None)
        why = f"HTTP {response.status}" if response is not None else type(error).__name__
        wait_seconds = further.get_backoff_time()
        _LOGGER.warning("the object store does not answer (%s): asking again in %.0f s", why, wait_seconds)
        return further


def _names_nobody(error: Exception | None) -> bool:
    """Whether DNS answered that there is no such name; where it did not answer, the name may well be right."""
    cause = error.__cause__ if isinstance(error, NameResolutionError) else None
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME


def _copy(answer: BaseHTTPResponse, target: Path) -> None:
    with target.open("wb") as file:
        for piece in answer.stream(_CHUNK_BYTES):
            file.write(piece)


def _hash(answer: BaseHTTPResponse) -> str:
    digest = hashlib.sha256()
    for piece in answer.stream(_CHUNK_BYTES):
        digest.update(piece)
    return digest.hexdigest()
