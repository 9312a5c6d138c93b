"""What is deleted or overwritten with the keys of flow runs, people or the backup can be brought back."""

from __future__ import annotations

import base64
from uuid import uuid4

import pytest
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import S3Error

from tests.cluster.conftest import opened_store, root_of_minio
from tests.cluster.kube import PLATFORM, forwarded, get

pytestmark = [pytest.mark.cluster, pytest.mark.smoke]


@pytest.mark.parametrize(("secret", "bucket"), [("minio-flows", "taxi-experiments"), ("minio-people", "taxi-data")])
def test_nothing_is_lost_for_good(stack: None, secret: str, bucket: str) -> None:
    with root_of_minio() as root:
        can_be_brought_back(root, secret, bucket)


def can_be_brought_back(root: Minio, secret: str, bucket: str) -> None:
    key = f"test/{uuid4()}"
    with opened_store(secret) as store:
        store.put_bytes(bucket, key, b"as it was")
        store.put_bytes(bucket, key, b"overwritten")
        store.delete(bucket, key)
        assert store.stat(bucket, key) is None
    versions = {one.version_id: one for one in root.list_objects(bucket, prefix=key, include_version=True)}
    assert sorted(one.is_delete_marker for one in versions.values()) == [False, False, True]
    oldest = min((one for one in versions.values() if not one.is_delete_marker), key=lambda one: one.last_modified)
    data = get(PLATFORM, "secret", secret)["data"]
    access_key, secret_key = (base64.b64decode(data[f"MINIO_{one}_KEY"]).decode() for one in ("ACCESS", "SECRET"))
    with forwarded(PLATFORM, "minio", 9000) as endpoint:
        thief = Minio(endpoint, access_key, secret_key, secure=False)
        for version in versions:
            with pytest.raises(S3Error, match="AccessDenied"):
                thief.remove_object(bucket, key, version_id=version)
        with pytest.raises(S3Error, match="AccessDenied"):
            thief.delete_bucket_lifecycle(bucket)
        with pytest.raises(S3Error, match="force-delete is forbidden"):
            thief._execute("DELETE", bucket, key, headers={"x-minio-force-delete": "true"})
    root.copy_object(bucket, key, CopySource(bucket, key, version_id=oldest.version_id))
    with opened_store(secret) as store:
        assert store.get_bytes(bucket, key) == b"as it was"
        store.delete(bucket, key)
