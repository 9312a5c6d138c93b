"""Artifacts as the server holds them."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey


def artifact(key: str) -> str:
    """The newest data of an artifact on the server."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda one: one.updated or datetime.min.replace(tzinfo=UTC)).data)
