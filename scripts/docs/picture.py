"""Draw the README's picture: `python -m scripts.docs.picture` needs Chromium and the real trips in ../shared/data.

33,276 yellow trips of January 2016 are evaluated, and the map of their report is kept as a PNG.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.chromium import find_chromium, open_page

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURE = REPOSITORY / "docs" / "images" / "hot-spots.png"
DATA = REPOSITORY.parent / "shared" / "data"
MONTH = DATA / "coords" / "yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet"
EPS_KM, MIN_SAMPLES = "0.1", "100"
WIDTH_PX, HEIGHT_PX = 1000, 800
_ZOOM_TO_MANHATTAN = """Plotly.relayout("chart-map", {
    "xaxis.range": [-12.0, 4.0], "yaxis.range": [-0.3, 9.3]
}).then(() => document.querySelectorAll(".modebar-container").forEach((bar) => bar.remove()))"""
"""Ranges in kilometres around the middle of the map, which has JFK too."""
MAX_BYTES = 300_000


def draw(picture: Path) -> None:
    """Evaluate the trips in a store of their own and write the map of the report.

    Raises:
        SystemExit: there is no Chromium, no data, or the picture is too large for the repository.
    """
    chromium = find_chromium()
    if chromium is None or not MONTH.is_file():
        raise SystemExit(f"error: the picture needs Chromium on PATH and {MONTH.name} in ../shared/data/coords.")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.html"
        _taxi_flows(
            scratch,
            *("evaluate", str(MONTH), "--no-minio", "--adapter-type", "grid"),
            *("--eps", EPS_KM, "--min-samples", MIN_SAMPLES),
        )
        _taxi_flows(scratch, "report", "latest", "-o", str(report))
        with open_page(chromium, Path(scratch) / "profile") as page:
            page.open(report, WIDTH_PX, HEIGHT_PX)
            page.evaluate(_ZOOM_TO_MANHATTAN)
            page.screenshot(picture, "figure.map .frame")
    if picture.stat().st_size > MAX_BYTES:
        raise SystemExit(f"error: {picture} has {picture.stat().st_size:,} bytes, more than {MAX_BYTES:,}.")


def _taxi_flows(scratch: str, *arguments: str) -> None:
    own = {"TAXI_STORE_DIR": f"{scratch}/store", "PREFECT_HOME": f"{scratch}/prefect"}
    settings = os.environ | own | {"TAXI_ZONE_TABLE": str(DATA / "zones")}
    subprocess.run([sys.executable, "-m", "flows", *arguments], check=True, env=settings)  # noqa: S603


if __name__ == "__main__":
    draw(PICTURE)
    print(f"wrote {PICTURE.relative_to(REPOSITORY)}")
