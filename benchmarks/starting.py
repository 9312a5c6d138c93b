"""What Prefect costs on a laptop: one evaluation as a flow on the embedded server against the plain steps.

    python -m benchmarks.starting [--rounds 3]

Each round runs both sides as processes of their own, in turn, on the same small synthetic month, warm (database and
compiled kernels are there); the least time of each counts. benchmarks/results/starting.md gets the table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "starting.md"
_HEAD = """\
# What Prefect costs on a laptop

One evaluation of a small synthetic month: seconds of the whole process, warm.
"""


def plain_steps(month: str) -> None:
    """The steps of `evaluation_pipeline` without Prefect."""
    from flows import tasks
    from flows.model.parameters import experiment_spec
    from flows.runtime.context import open_run

    spec = experiment_spec(month, "sklearn", eps=0.1, min_samples=50)
    with open_run("plain steps", None, spec, judges=True) as run:
        source = tasks.ingest.fn(run)
        points = tasks.prepare.fn(run, source)
        clustering = tasks.cluster.fn(run, points)
        scores = tasks.evaluate.fn(run, points, clustering)
        tasks.record.fn(run, source, points, clustering, scores)


def seconds_of(command: list[str]) -> float:
    """Wall time of a process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Run the benchmark, or the plain side of it in a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", metavar="MONTH")
    options = parser.parse_args()
    if options.plain:
        plain_steps(options.plain)
        return
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TAXI_STORE_DIR"], os.environ["PREFECT_HOME"] = f"{scratch}/store", f"{scratch}/prefect"
        seconds_of(["-m", "flows", "data", "synth"])
        month = "synthetic_yellow_tripdata_2016-01.parquet"
        sides = {
            "`taxi-flows --help`": ["-m", "flows", "--help"],
            "plain steps": ["-m", "benchmarks.starting", "--plain", month],
            "`taxi-flows evaluate`, embedded server": [
                "-m", "flows", "evaluate", month, "--eps", "0.1", "--min-samples", "50",
            ],
        }  # fmt: skip
        for command in sides.values():
            seconds_of(command)  # warm: the database is migrated, the kernels are compiled
        best = {side: min(seconds_of(command) for _ in range(options.rounds)) for side, command in sides.items()}
    lines = [_HEAD, "| process | seconds |", "|---|--:|"]
    lines += [f"| {side} | {seconds:.2f} |" for side, seconds in best.items()]
    _, plain, embedded = best.values()
    lines.append(f"| what the flow costs over the plain steps | **{embedded - plain:.2f}** |")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
