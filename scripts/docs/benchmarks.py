"""The results of the benchmarks, from benchmarks/results/."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
ORDER = ("preparing", "clustering", "sweeping", "months", "starting", "pod_start", "fan_out")


def sections() -> str:
    """Every result, its headings one level down; those of a laptop come first."""
    return "\n\n".join(_section(RESULTS / f"{name}.md") for name in ORDER)


def _section(result: Path) -> str:
    text = result.read_text(encoding="utf-8").strip()
    text = re.sub(r"^#", "##", text, flags=re.MULTILINE)
    return re.sub(r"!\[(.*?)\]\((.*?)\)", r"![\1](../benchmarks/results/\2)", text)
