"""The object store: months of trips in one bucket, records in another.

An object has a key such as `reference/taxi_zones.zip`; folders exist only as beginnings of keys. An object is replaced
whole or not at all, and what was written is checked before it counts. MinIO's client is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.core.errors import SettingsError
from flows.store.local import LocalStore
from flows.store.protocol import MAX_KEY_BYTES, ObjectInfo, ObjectStore, key_fault

if TYPE_CHECKING:
    from flows.core.settings import Settings

__all__ = ["MAX_KEY_BYTES", "LocalStore", "ObjectInfo", "ObjectStore", "key_fault", "open_store"]


def open_store(settings: Settings, patient: bool = True) -> ObjectStore:
    """MinIO where MINIO_ENDPOINT is set, else the local directory.

    Args:
        settings: name the store.
        patient: repeat requests for about a minute where the store does not answer; else once.

    Raises:
        SettingsError: MINIO_ENDPOINT is no host:port, or a key is missing.
    """
    endpoint = settings.minio.endpoint
    if endpoint is None:
        return LocalStore(settings.store_dir)
    if "/" in endpoint:
        raise SettingsError(
            f"MINIO_ENDPOINT is {endpoint!r}: write host:port without http:// and path; MINIO_SECURE says whether to "
            "speak TLS."
        )
    access_key, secret_key = settings.minio.access_key, settings.minio.secret_key
    if access_key is None or secret_key is None:
        names = [name for name, key in (("MINIO_ACCESS_KEY", access_key), ("MINIO_SECRET_KEY", secret_key)) if not key]
        raise SettingsError(
            f"MINIO_ENDPOINT is {endpoint!r}, but {' and '.join(names)} is not set. Set it, or unset MINIO_ENDPOINT to "
            'use the local store. For the stack on Kubernetes: eval "$(taxi-flows platform env)".'
        )
    from flows.store.minio import RETRIES, MinioStore

    return MinioStore(
        endpoint,
        access_key.get_secret_value(),
        secret_key.get_secret_value(),
        secure=settings.minio.secure,
        retries=RETRIES if patient else 1,
    )
