"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent


# Compiled kernels load in the first example; a shared machine is slow at times.
settings.register_profile("taxi-flows", deadline=None)
settings.load_profile("taxi-flows")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real TLC files that lies beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: put it at {folder.relative_to(REPOSITORY.parent)} beside the repository")
    return folder


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of odd files that lies beside the repository."""
    folder = REPOSITORY.parent / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"no odd files: put them at {folder.relative_to(REPOSITORY.parent)} beside the repository")
    return folder


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test; the store is a fresh folder."""
    for name in list(os.environ):
        if name.startswith(("TAXI_", "MINIO_")) or name in {"PUSHGATEWAY_URL", "PREFECT_API_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAXI_STORE_DIR", str(tmp_path / "store"))
