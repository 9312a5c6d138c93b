"""What goes wrong with MinIO, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError

from flows.core.errors import StoreAccessError, StoreError

MISSING_OBJECT = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
_WRONG_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}
_FORBIDDEN = {"AccessDenied", "AllAccessDisabled"}
_FULL = {"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"}


@dataclass(frozen=True)
class Request:
    """What was asked of the store, for messages."""

    doing: str
    bucket: str
    key: str
    store: str

    def __str__(self) -> str:
        name = f"{self.bucket}/{self.key}" if self.key else self.bucket
        return f"{self.doing} {name} of {self.store}"


@contextmanager
def in_words(request: Request) -> Iterator[None]:
    """Turn what MinIO's client raises into a StoreError that says what to do.

    Raises:
        StoreAccessError: the keys are wrong, or their user may not do it.
        StoreError: everything else.
    """
    try:
        yield
    except S3Error as error:
        raise _refused(request, error) from error
    except MaxRetryError as error:
        raise StoreError(
            f"{request} failed: there is no answer ({_cause(error)}), also to repeated calls. Is it up, and is "
            "MINIO_ENDPOINT right? For the stack on Kubernetes keep `taxi-flows platform forward` running."
        ) from error
    except (HTTPError, MinioException, OSError) as error:
        raise StoreError(f"{request} failed: {_cause(error)}. Try again.") from error


def _refused(request: Request, error: S3Error) -> StoreError:
    code = error.code or ""
    if code in _WRONG_KEYS:
        return StoreAccessError(
            f"{request} was refused ({code}): the keys are wrong. Check MINIO_ACCESS_KEY and MINIO_SECRET_KEY."
        )
    if code in _FORBIDDEN:
        return StoreAccessError(
            f"{request} was refused ({code}): check MINIO_ACCESS_KEY and MINIO_SECRET_KEY, and what their user may do. "
            "On the cluster, people put months and read records; flow runs read months and put records."
        )
    if code == "NoSuchBucket":
        return StoreError(f"{request} failed: there is no bucket {request.bucket}. Make it, or name another.")
    if code in MISSING_OBJECT:
        return StoreError(f"there is no object {request.key!r} in bucket {request.bucket!r} of {request.store}.")
    if code in _FULL:
        return StoreError(f"{request} failed ({code}): the store is full. Delete what is not needed, or add space.")
    if code == "PreconditionFailed":
        return StoreError(f"{request} failed: the object was replaced while it was read. Run it again.")
    return StoreError(f"{request} failed ({code}): {error.message}. Try again.")


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
