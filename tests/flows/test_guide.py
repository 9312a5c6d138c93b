"""Every Python block of the README and the guide runs as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from flows.settings import load_settings
from flows.store import open_store
from flows.synthetic import write_synthetic_month

REPOSITORY = Path(__file__).resolve().parents[2]
MONTH = "yellow_tripdata_2025-09.parquet"
BLOCKS = [
    pytest.param(match[1], id=f"{name}:{text[: match.start()].count(chr(10)) + 1}")
    for name in ("README.md", "docs/workflows.md")
    for text in [(REPOSITORY / name).read_text(encoding="utf-8")]
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


@pytest.fixture
def _month(tmp_path: Path) -> None:
    """The month that the examples name is in the store; its trips are made up."""
    write_synthetic_month(tmp_path / MONTH, rows=3000)
    settings = load_settings()
    open_store(settings).put_file(settings.data_bucket, MONTH, tmp_path / MONTH)


@pytest.mark.usefixtures("_month")
@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_deployment(flow: Flow[..., Any], **arguments: Any) -> None:
        """All that `serve` does before it waits for the clock."""
        flow.to_deployment(**arguments)

    monkeypatch.setattr(Flow, "serve", make_deployment)
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    runpy.run_path(str(script), run_name="__main__")
