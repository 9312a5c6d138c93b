"""Reading and preparing trips, side by side with pandas and pyproj, in one run.

    python -m benchmarks.preparing [--rows 10000000] [--csv-rows 3000000] [--rounds 3]

Each round runs each side in a process of its own, after a warm-up on a small file, and keeps the smallest time. Both
sides read pick-ups from a synthetic month, leave out what is missing, zero or outside the city, project to EPSG:32118,
round to 2^-10 m and collapse to unique points with weights. benchmarks/results/preparing.md gets the table of ratios.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "preparing.md"
_HEAD = """\
# Reading and preparing

From a file to unique points in metres: least time and peak memory of the process, Taxi Flows beside
pandas with pyproj.
"""
COLUMNS = ["pickup_longitude", "pickup_latitude"]


@dataclass(frozen=True)
class Measurement:
    """One side's smallest seconds and the peak memory it added, with what it found."""

    seconds: float
    peak_bytes: int
    unique: int
    used: int


def by_pandas(path: Path) -> tuple[int, int]:
    """Prepare the plain way; give the numbers of unique and used points."""
    import numpy as np
    import pandas as pd
    from pyproj import Transformer

    trips = pd.read_parquet(path, columns=COLUMNS) if path.suffix == ".parquet" else pd.read_csv(path, usecols=COLUMNS)
    lon, lat = trips["pickup_longitude"], trips["pickup_latitude"]
    trips = trips[lon.notna() & lat.notna() & (lon != 0) & (lat != 0)]
    lon, lat = trips["pickup_longitude"], trips["pickup_latitude"]
    trips = trips[lon.between(-74.30, -73.65) & lat.between(40.45, 40.95)]
    transformer = Transformer.from_crs("EPSG:4326", "EPSG:32118", always_xy=True)
    x, y = transformer.transform(trips["pickup_longitude"].to_numpy(), trips["pickup_latitude"].to_numpy())
    points = pd.DataFrame({"x": np.rint(x * 1024) / 1024, "y": np.rint(y * 1024) / 1024})
    weights = points.groupby(["x", "y"], sort=False).size()
    return len(weights), len(points)


def by_flows(path: Path) -> tuple[int, int]:
    """Prepare with the steps; give the numbers of unique and used points."""
    from flows.core.limits import n_jobs
    from flows.core.settings import load_settings
    from flows.model.parameters import experiment_spec
    from flows.model.points import SourceFile
    from flows.steps.ingest import open_source
    from flows.steps.prepare import prepare

    settings = load_settings()
    spec = experiment_spec(str(path), use_minio=False)
    source = open_source((SourceFile(path.name, path, path.stat().st_size),), spec, settings)
    points = prepare(source, spec, settings, None, n_jobs(None, settings))
    return points.n_unique, points.n_used


SIDES: dict[str, Callable[[Path], tuple[int, int]]] = {"pandas": by_pandas, "flows": by_flows}


def measure_here(side: str, small: Path, path: Path) -> Measurement:
    """Measure one side in this process, after a warm-up."""
    from flows.steps.measure import measured

    SIDES[side](small)
    with measured() as cost:
        unique, used = SIDES[side](path)
    return Measurement(cost.wall_seconds, cost.peak_memory_bytes or 0, unique, used)


def measure_in_child(side: str, small: Path, path: Path) -> Measurement:
    """Measure one side in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.preparing", "--side", side, str(small), str(path)]
    return Measurement(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def best_of(rounds: int, small: Path, path: Path) -> dict[str, Measurement]:
    """Both sides in turn, the fastest round of each."""
    measured = {side: [measure_in_child(side, small, path) for _ in range(rounds)] for side in SIDES}
    best = {side: min(runs, key=lambda run: run.seconds) for side, runs in measured.items()}
    if best["pandas"].unique != best["flows"].unique or best["pandas"].used != best["flows"].used:
        raise SystemExit(f"the sides disagree on {path.name}: {best}")
    return best


def month(folder: Path, rows: int, suffix: str) -> Path:
    """A synthetic month as parquet, or as the same columns in csv.gz."""
    from flows.datasets.synthetic import write_synthetic_month

    parquet = folder / f"synthetic_{rows}.parquet"
    write_synthetic_month(parquet, rows=rows, seed=0, month="2016-01")
    if suffix == ".parquet":
        return parquet
    import pyarrow.csv
    import pyarrow.parquet

    text = folder / f"synthetic_{rows}.csv.gz"
    with gzip.open(text, "wb", compresslevel=6) as target:
        pyarrow.csv.write_csv(pyarrow.parquet.read_table(parquet), target)
    return text


def row(name: str, best: dict[str, Measurement]) -> str:
    """One line of the table."""
    theirs, ours = best["pandas"], best["flows"]
    return (
        f"| {name} | {ours.unique:,} of {ours.used:,} | {theirs.seconds:.2f} s | {ours.seconds:.2f} s "
        f"| **{theirs.seconds / ours.seconds:.1f}x** | {theirs.peak_bytes / 2**20:,.0f} MiB "
        f"| {ours.peak_bytes / 2**20:,.0f} MiB | **{ours.peak_bytes / theirs.peak_bytes:.2f}** |"
    )


def main() -> None:
    """Run the benchmark, or one side of it in a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--csv-rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "SMALL", "FILE"))
    options = parser.parse_args()
    if options.side:
        side, small, path = options.side
        print(json.dumps(vars(measure_here(side, Path(small), Path(path)))))
        return
    lines = [
        _HEAD,
        "| source | unique of used points | pandas + pyproj, time | Taxi Flows, time | faster "
        "| pandas + pyproj, memory | Taxi Flows, memory | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for rows, suffix in ((options.rows, ".parquet"), (options.csv_rows, ".csv.gz")):
            small, path = month(Path(scratch), 10_000, suffix), month(Path(scratch), rows, suffix)
            lines.append(row(f"{rows / 1e6:g} M trips, {suffix[1:]}", best_of(options.rounds, small, path)))
            print(lines[-1], flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
