"""The table of faults, as `make soak` left it in tests/cluster/faults.md."""

from __future__ import annotations

from pathlib import Path

TABLE = Path(__file__).resolve().parents[2] / "tests" / "cluster" / "faults.md"


def table() -> str:
    """Each fault, what becomes of the run, and what `make soak` observed."""
    return TABLE.read_text(encoding="utf-8").strip()
