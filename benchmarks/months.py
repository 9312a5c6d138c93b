"""Twelve months of ten million trips as one data source: memory, and the time that each month takes.

    python -m benchmarks.months [--months 12] [--rows 10000000]

Each month is synthetic, written to a temporary folder when its turn comes and deleted when it is read; the time for
that is not counted. The whole is clustered with the grid adapter. Peak memory is that of the process, from its start.
benchmarks/results/months.md gets the table; of the times only a ratio stands there: the median of the last third of the
months to that of the first, about 1 where a month takes no longer for those before it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from flows.core.limits import n_jobs
from flows.core.settings import Settings, load_settings
from flows.datasets.synthetic import synthetic_name, write_synthetic_month
from flows.model.parameters import experiment_spec
from flows.model.points import SourceFile, TripBatch, TripSource
from flows.model.spec import ExperimentSpec
from flows.steps.cluster import cluster
from flows.steps.ingest import open_source
from flows.steps.prepare import prepare

RESULT = Path(__file__).parent / "results" / "months.md"
_HEAD = """\
# A year as one data source

Synthetic months of ten million trips, clustered together by `grid` at eps 0.1 km, min_samples 50. Memory is the peak of
the process.
"""
EPS_KM, MIN_SAMPLES = 0.1, 50


@dataclass
class Year:
    """Months that are made when they are asked for; seconds holds how long each took to read and prepare."""

    n_months: int
    rows: int
    spec: ExperimentSpec
    settings: Settings
    folder: Path
    seconds: list[float] = field(default_factory=list)

    def source(self) -> TripSource:
        """All months as one source, as `open_source` gives it for files that are there."""
        first = self._month(0, rows=1000)
        names = [self._name(index) for index in range(self.n_months)]
        files = tuple(SourceFile(name, Path(name), 0) for name in names)
        dialects = first.dialects * self.n_months
        return replace(first, files=files, dialects=dialects, n_rows=None, batches=self._batches)

    def _batches(self) -> Iterator[TripBatch]:
        for index in range(self.n_months):
            month = self._month(index, self.rows)
            started = time.perf_counter()
            for batch in month.batches():
                yield replace(batch, file_index=index, first_row=batch.first_row + index * self.rows)
            self.seconds.append(time.perf_counter() - started)
            (self.folder / self._name(index)).unlink()

    def _month(self, index: int, rows: int) -> TripSource:
        path = self.folder / self._name(index)
        write_synthetic_month(path, rows, seed=index, month=f"2016-{index % 12 + 1:02}")
        return open_source((SourceFile(path.name, path, path.stat().st_size),), self.spec, self.settings)

    def _name(self, index: int) -> str:
        return f"{index:02}-{synthetic_name(f'2016-{index % 12 + 1:02}')}"


def main() -> None:
    """Run the benchmark in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    if options.months < 1:
        parser.error(f"--months is {options.months}: give 1 or more")
    settings = load_settings()
    spec = experiment_spec("months", adapter_type="grid", eps=EPS_KM, min_samples=MIN_SAMPLES, use_minio=False)
    with tempfile.TemporaryDirectory(prefix="taxi-months-") as folder:
        year = Year(options.months, options.rows, spec, settings, Path(folder))
        points = prepare(year.source(), spec, settings, None, n_jobs(None, settings))
    prepared_gib = peak_gib()
    found = cluster(points, spec, settings, n_jobs(None, settings))
    third = max(len(year.seconds) // 3, 1)
    growth = median(year.seconds[-third:]) / median(year.seconds[:third])
    print("seconds per month:", *(f"{seconds:.1f}" for seconds in year.seconds))
    lines = [
        _HEAD,
        "| months | trips | unique points | clusters | prepared at peak | clustered at peak | "
        "time per month, last third |",
        "|---|---|---|---|---|---|---|",
        f"| {options.months} | {points.n_rows:,} | {points.n_unique:,} | {found.labels.max() + 1:,} | "
        f"{prepared_gib:.2f} GiB | **{peak_gib():.2f} GiB** | {growth:.2f} of the first third's |",
    ]
    print("\n".join(lines))
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def peak_gib() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
