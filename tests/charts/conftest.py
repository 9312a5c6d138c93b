"""Helm and the built charts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.charts.charts import built


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of built charts."""
    if shutil.which("helm") is None:
        pytest.skip("not on PATH: helm")
    return built(tmp_path_factory.getbasetemp())
