"""The adapters side by side with scikit-learn and the `dbscan` package, in one process, after a warm-up.

    python -m benchmarks.clustering [--quick] [--rounds 5]

Every side of a case runs in turn, `rounds` times (slow ones fewer), and its least time counts; then each runs once more
in a process of its own for its peak memory. All must find the same core points, and those with canonical labels the
same labels. benchmarks/results/clustering.md gets the table, clustering.png time against n. `--quick` stops at 1 M
points.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import points
from flows.adapters.protocol import Fit
from flows.adapters.registry import get_adapter
from flows.core.limits import usable_cpus

RESULTS = Path(__file__).parent / "results"
CPUS = usable_cpus()
_HEAD = """\
# Clustering

Least seconds of one fit on {cpus} CPUs; in brackets, how many times faster `grid` is. B/point is peak memory in bytes
per point, for `grid` on 8 threads. An empty cell was not measured.
"""
_GROWTH = """
Least seconds against the number of points, city points at eps 0.1 km:
"""
_CURVE = """
![Time against the number of points, log-log: grid grows more slowly than dbscan](clustering.png)"""
SLOW_SECONDS = 10.0
SIDES = ("grid", "dbscan", "sklearn", "sklearn_all_cpus", "sklearn_parallel")
GROWTH = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)


@dataclass(frozen=True)
class Case:
    """What to cluster, and which sides besides `grid` and `dbscan` can in reasonable time."""

    name: str
    make: Callable[[], points.Points]
    eps_m: float
    min_samples: int = 10
    others: tuple[str, ...] = ()
    collapse: bool = False


@dataclass(frozen=True)
class Result:
    """Least seconds and peak bytes of each side of a case."""

    case: Case
    n: int
    seconds: dict[str, float]
    peak_bytes: dict[str, int]


def cases(quick: bool) -> list[Case]:
    """All cases, small ones first."""
    others = ("sklearn", "sklearn_all_cpus", "sklearn_parallel")
    cities = [
        Case(
            f"city, {n:,}",
            partial(points.city, n),
            eps_m,
            others=others if n == 200_000 else ("sklearn_parallel",) if n == 2_000_000 else (),
        )
        for n in ((200_000, 1_000_000) if quick else (200_000, 1_000_000, 2_000_000, 10_000_000))
        for eps_m in (50.0, 100.0, 500.0)
    ]
    real = [Case(name.split(".")[0], partial(points.real, name), 100.0, others=others) for name in points.real_names()]
    million = 1_000_000
    return [
        *cities,
        *real,
        Case("zones, 3,600,000 rows", partial(points.zones, 3_600_000), 500.0, collapse=True),
        Case("one cell", partial(points.one_cell, million), 50.0),
        Case("one dense cell in a city", partial(points.dense_cell, million), 50.0),
        Case("line", partial(points.line, million), 50.0),
        Case("lattice, eps apart", partial(points.lattice, million, 50.0), 50.0, min_samples=5),
        Case("uniform noise", partial(points.uniform, million), 50.0),
        Case("bridged by border points", partial(points.bridged, million, 50.0), 50.0, min_samples=60),
        Case("eps 1 m over 50 km", partial(points.city, million), 1.0),
    ]


def run(side: str, case: Case, points_m: points.Points, n_threads: int = CPUS) -> Fit:
    """Cluster once; n_threads are for the adapters."""
    if side == "dbscan":
        from dbscan import DBSCAN

        labels, core = DBSCAN(points_m, case.eps_m, case.min_samples)
        return Fit(np.asarray(labels), np.asarray(core, dtype=np.bool_))
    if side.startswith("sklearn") and side != "sklearn_parallel":
        from sklearn import cluster

        jobs = -1 if side == "sklearn_all_cpus" else 1
        model = cluster.DBSCAN(eps=case.eps_m, min_samples=case.min_samples, algorithm="kd_tree", n_jobs=jobs)
        labels = model.fit(points_m).labels_
        core = np.zeros(len(labels), np.bool_)
        core[model.core_sample_indices_] = True
        return Fit(labels, core)
    adapter = get_adapter(side)
    if not case.collapse:
        return adapter.fit(points_m, np.ones(len(points_m), np.int64), case.eps_m, case.min_samples, n_threads)
    from flows.kernels.collapse import collapse
    from flows.steps.projection import pack

    unique_m, weights, inverse = collapse(pack(points_m), n_blocks=n_threads)
    fit = adapter.fit(unique_m, weights, case.eps_m, case.min_samples, n_threads)
    return Fit(fit.labels[inverse], fit.core[inverse])


def timed(side: str, case: Case, points_m: points.Points) -> tuple[float, Fit]:
    """Seconds of one run, and what it found."""
    start = time.perf_counter()
    fit = run(side, case, points_m)
    return time.perf_counter() - start, fit


def compare(case: Case, rounds: int) -> Result:
    """All sides of a case in turn, the least seconds of each; they must agree."""
    points_m = case.make()
    seconds: dict[str, float] = {}
    ours: Fit | None = None
    for side in ("grid", "dbscan", *case.others):
        run(side, case, points_m[:1000].copy())
    for turn in range(rounds):
        for side in ("grid", "dbscan", *case.others):
            if turn and seconds[side] > SLOW_SECONDS:
                continue
            took, fit = timed(side, case, points_m)
            seconds[side] = min(took, seconds.get(side, took))
            ours = ours or fit
            check(case, side, ours, fit)
    peak_bytes = {side: peak_in_child(case, side, 8 if side == "grid" else CPUS) for side in seconds}
    return Result(case, len(points_m), seconds, peak_bytes)


def check(case: Case, side: str, ours: Fit, fit: Fit) -> None:
    """Stop where two sides disagree; `dbscan` numbers clusters and places border points in its own way."""
    same: NDArray[np.bool_] | bool = np.array_equal(ours.core, fit.core)
    if side != "dbscan":
        same = same and np.array_equal(ours.labels, fit.labels)
    if not same:
        raise SystemExit(f"{case.name}, eps {case.eps_m:g} m: {side} and grid disagree")


def peak_in_child(case: Case, side: str, n_threads: int) -> int:
    """Peak memory in bytes that one run adds, in a fresh process after a small warm-up."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.clustering",
        "--child",
        case.name,
        str(case.eps_m),
        side,
        str(n_threads),
    ]
    environment = os.environ | {"NUMBA_NUM_THREADS": str(n_threads)}
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def child(name: str, eps_m: float, side: str, n_threads: int) -> None:
    """Print the peak bytes of one side of one case."""
    from flows.steps.measure import measured

    case = next(case for case in cases(quick=False) if (case.name, case.eps_m) == (name, eps_m))
    points_m = case.make()
    run(side, case, points_m[:50].copy(), n_threads)
    with measured() as cost:
        run(side, case, points_m, n_threads)
    print(cost.peak_memory_bytes or 0)


def table(results: list[Result]) -> str:
    """The results in Markdown."""
    measured = ("grid", "dbscan", "sklearn", "sklearn_parallel")
    head = ("points", "n", "eps", *SIDES, *(f"{side}, B/point" for side in measured))
    lines = [
        _HEAD.format(cpus=CPUS),
        f"| {' | '.join(head)} |",
        "|---" + "|--:" * (len(head) - 1) + "|",
    ]
    for result in results:
        ours, case = result.seconds["grid"], result.case
        times = [
            f"{took:.3f} s ({took / ours:.1f}x)" if (took := result.seconds.get(side)) else "" for side in SIDES[1:]
        ]
        memory = [f"{peak / result.n:,.0f}" if (peak := result.peak_bytes.get(side)) else "" for side in measured]
        lines.append(
            " | ".join([f"| {case.name}", f"{result.n:,}", f"{case.eps_m:g} m", f"{ours:.4f} s", *times, *memory])
            + " |"
        )
    return "\n".join(lines)


def growth(sizes: tuple[int, ...], rounds: int) -> dict[str, list[float]]:
    """Least seconds of grid and dbscan at 0.1 km for each number of points."""
    seconds: dict[str, list[float]] = {"grid": [], "dbscan": []}
    for n in sizes:
        case, points_m = Case("growth", partial(points.city, 0), 100.0), points.city(n)
        for side, found in seconds.items():
            turns = rounds if side == "grid" else 2
            found.append(min(timed(side, case, points_m)[0] for _ in range(turns)))
    return seconds


def plot(sizes: tuple[int, ...], seconds: dict[str, list[float]]) -> None:
    """Draw time against n."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for side, found in seconds.items():
        axes.loglog(sizes, found, marker="o", label=side)
    axes.loglog(sizes, [seconds["grid"][0] * n / sizes[0] for n in sizes], ":", color="grey", label="linear")
    axes.set(xlabel="points", ylabel="seconds", title=f"City points, eps 0.1 km, {CPUS} CPUs")
    axes.legend()
    figure.savefig(RESULTS / "clustering.png", dpi=120)


def main() -> None:
    """Run the benchmark, or one side of it in a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="at most 1 M points")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=4, metavar=("CASE", "EPS_M", "SIDE", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], float(options.child[1]), options.child[2], int(options.child[3]))
        return
    RESULTS.mkdir(exist_ok=True)
    get_adapter("grid").load()
    results = []
    for case in cases(options.quick):
        results.append(compare(case, options.rounds))
        print(table(results[-1:]).splitlines()[-1], flush=True)
    sizes = tuple(n for n in GROWTH if n <= (1_000_000 if options.quick else n))
    seconds = growth(sizes, options.rounds)
    plot(sizes, seconds)
    grew = [
        f"| {n:,} | {ours:.4f} s | {theirs:.3f} s |" for n, ours, theirs in zip(sizes, *seconds.values(), strict=True)
    ]
    text = "\n".join([table(results), _GROWTH, "| points | grid | dbscan |", "|--:|--:|--:|", *grew, _CURVE])
    (RESULTS / "clustering.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
