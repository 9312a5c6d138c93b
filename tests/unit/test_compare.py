"""Adapters side by side: what each process gives back, what is said where one dies, and how agreement is counted."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from flows.core.errors import ParameterError
from flows.core.settings import load_settings
from flows.model.metric import Metric
from flows.model.points import Points
from flows.model.records import ClusterCounts, Performance, Quality
from flows.model.sweep_parameters import cell_specs, grid_spec
from flows.model.sweeps import Agreement, Cell, GridSpec
from flows.steps import compare_process
from flows.steps.agreement import MIN_UNIQUE_FOR_SPEED, SAME, TOO_FEW, Likeness, likeness, overall
from flows.steps.agreement import agreement as agreement_of
from flows.steps.cluster import cluster
from flows.steps.compare import compare
from flows.steps.evaluate import Sample, draw_sample, evaluate
from flows.steps.sweep import Outcome
from flows.sweeps.compare_tasks import comparable
from tests.unit.experiments import finished_experiment

# The child of a test: sklearn_parallel is killed at min_samples 4 and puts all into one cluster at 5.
FAULTY_CHILD = """
import dataclasses, os, signal, sys
from pathlib import Path
from flows.steps import compare_child

def faulty(xy_m, weights, spec, settings, n_jobs, cluster=compare_child.cluster_places):
    found = cluster(xy_m, weights, spec, settings, n_jobs)
    if spec.adapter_type == "sklearn_parallel" and spec.min_samples == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if spec.adapter_type == "sklearn_parallel" and spec.min_samples == 5:
        found = dataclasses.replace(found, labels=found.labels * 0)
    return found

compare_child.cluster_places = faulty
compare_child.main(Path(sys.argv[1]))
"""


@pytest.fixture
def points(tmp_path: Path) -> Points:
    return finished_experiment(tmp_path).points


def grid_of(adapters: list[str], min_samples_values: list[int]) -> GridSpec:
    return comparable(grid_spec("trips.csv", adapters, [0.03], min_samples_values))


def compared(points: Points, grid: GridSpec) -> list[tuple[Outcome, Likeness | None]]:
    sample = draw_sample(points, 1000, 0)
    return list(compare(points, sample, list(cell_specs(grid)), load_settings(), 2))


def test_every_adapter_gives_the_labels_of_a_single_run(points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[NDArray[np.int64]] = []

    def counted(points: Points, sample: Sample, labels: NDArray[np.int64], n_jobs: int) -> Quality:
        judged.append(labels)
        return evaluate(points, sample, labels, n_jobs)

    monkeypatch.setattr("flows.steps.compare.evaluate", counted)
    grid = grid_of(["sklearn", "grid"], [3, 9])
    pairs = compared(points, grid)
    assert [outcome.spec for outcome, _ in pairs] == list(cell_specs(grid))
    for outcome, _ in pairs:
        single = cluster(points, outcome.spec, load_settings(), 2)
        assert outcome.clustering is not None
        assert (outcome.clustering.labels == single.labels).all()
        assert (outcome.clustering.core == single.core).all()
        assert outcome.clustering.n_jobs == single.n_jobs
    assert len(judged) == 2, "equal labels are judged once"
    assert [found for _, found in pairs] == [None, None, SAME, SAME]


def test_a_killed_process_costs_its_cell_alone_and_other_labels_are_told(
    points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_process, "COMMAND", (sys.executable, "-c", FAULTY_CHILD))
    pairs = compared(points, grid_of(["sklearn", "sklearn_parallel"], [3, 4, 5]))
    outcomes = [outcome for outcome, _ in pairs]
    assert [outcome.reason is None for outcome in outcomes] == [True, True, True, True, False, True]
    assert "sklearn_parallel was killed by signal SIGKILL (exit code -9)" in (outcomes[4].reason or "")
    same, lost, other = (found for _, found in pairs[3:])
    assert same == SAME
    assert lost is None
    first = outcomes[2].clustering
    assert first is not None
    rows = first.labels[points.inverse]
    assert other == Likeness(equal=False, adjusted_rand=adjusted_rand_score(rows, np.zeros_like(rows)))


@given(st.data())
def test_the_index_is_scikit_learns_however_labels_are_cut_into_pieces(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 60))
    of_points = partial(arrays, np.int64, n)
    one, two = (data.draw(of_points(elements=st.integers(-1, 4))) for _ in range(2))
    weights = data.draw(of_points(elements=st.integers(1, 3)))
    at = data.draw(st.integers(0, n))
    pieces = [(one[part], two[part], weights[part]) for part in (slice(at), slice(at, None))]
    rows = np.repeat(one, weights), np.repeat(two, weights)
    found = likeness(pieces)
    assert found.equal == bool((one == two).all())
    assert found.adjusted_rand == pytest.approx(adjusted_rand_score(*rows), abs=1e-15)


def test_a_fit_that_would_not_fit_is_a_failed_cell(points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_MEMORY_LIMIT_BYTES", "1")
    pairs = compared(points, grid_of(["sklearn", "grid"], [3]))
    assert all("TAXI_MEMORY_LIMIT_BYTES" in (outcome.reason or "") for outcome, _ in pairs)
    assert pairs[1][1] is None


def test_a_process_that_does_not_start_is_told(points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_process, "COMMAND", ("false",))
    pairs = compared(points, grid_of(["sklearn", "grid"], [3, 4]))
    assert len(pairs) == 4
    assert all("ended with exit code 1" in (outcome.reason or "") for outcome, _ in pairs)


def test_one_adapter_or_auto_is_no_comparison() -> None:
    with pytest.raises(ParameterError, match="two or more"):
        comparable(grid_spec("trips.csv", ["sklearn"], [0.1], [5]))
    with pytest.raises(ParameterError, match="takes a list"):
        comparable(grid_spec("trips.csv", ["sklearn", "grid"], "auto", [5]))


def cell(adapter: str, min_samples: int, seconds: float | None, peak_bytes: float | None = 1.0) -> Cell:
    """A cell of eps 1 km; failed where it has no seconds."""
    if seconds is None:
        return Cell(adapter=adapter, eps=1.0, min_samples=min_samples, status="failed", reason="killed")
    none = Metric(value=None, reason="not asked for")
    return Cell(
        adapter=adapter,
        eps=1.0,
        min_samples=min_samples,
        status="ok",
        clustering=ClusterCounts(
            n_clusters=0, n_core=0, n_border=0, n_noise=1, noise_ratio=none, largest_cluster_share=none,
            one_blob=False, sizes=(),
        ),
        performance=Performance(
            n_jobs=1, runtime_seconds=seconds, cpu_seconds=seconds, points_per_second=none,
            peak_memory_bytes=Metric(value=peak_bytes),
        ),
    )  # fmt: skip


def agreement(adapter: str, min_samples: int, rand: float | None) -> Agreement:
    none = Metric(value=None, reason="not asked for")
    return Agreement(
        adapter=adapter, reference="sklearn", eps=1.0, min_samples=min_samples, speed_up=none, memory_ratio=none,
        adjusted_rand=Metric(value=rand), equal=None if rand is None else rand == 1,
    )  # fmt: skip


CELLS = [
    cell("sklearn", 5, 6.0, 100), cell("sklearn", 10, 2.0, 400), cell("sklearn", 15, 50.0, 900),
    cell("grid", 5, 1.0, 100), cell("grid", 10, 1.0, 50), cell("grid", 15, None),
]  # fmt: skip
BY_CELL = [agreement("grid", 5, 1.0), agreement("grid", 10, 0.25), agreement("grid", 15, None)]


def test_a_cell_is_set_against_the_first_adapters() -> None:
    found = agreement_of(CELLS[0], CELLS[3], SAME, MIN_UNIQUE_FOR_SPEED)
    assert (found.adapter, found.reference, found.eps, found.min_samples) == ("grid", "sklearn", 1.0, 5)
    assert (found.speed_up.value, found.memory_ratio.value) == (6.0, 1.0)
    assert (found.equal, found.adjusted_rand.value) == (True, 1.0)
    lost = agreement_of(CELLS[2], CELLS[5], None, MIN_UNIQUE_FOR_SPEED)
    assert lost.equal is None
    assert {one.reason for one in (lost.speed_up, lost.memory_ratio, lost.adjusted_rand)} == {"the cell of grid failed"}
    assert agreement_of(CELLS[5], CELLS[2], None, 1).speed_up.reason == "the cell of grid failed"


def test_overall_is_over_the_cells_that_both_did() -> None:
    (found,) = overall(CELLS, BY_CELL, MIN_UNIQUE_FOR_SPEED)
    assert (found.adapter, found.reference, found.eps, found.min_samples) == ("grid", "sklearn", None, None)
    assert found.speed_up.value == 8.0 / 2.0
    assert found.memory_ratio.value == 100 / 400
    assert found.adjusted_rand.value == 0.25
    assert found.equal is False


def test_overall_says_why_there_is_nothing_to_say() -> None:
    (few,) = overall(CELLS, BY_CELL, MIN_UNIQUE_FOR_SPEED - 1)
    assert few.speed_up == Metric(value=None, reason=TOO_FEW)
    (small,) = overall([CELLS[0], cell("grid", 5, 1.0, None)], BY_CELL[:1], MIN_UNIQUE_FOR_SPEED)
    assert small.memory_ratio == Metric(value=None, reason="a fit took too little memory to measure")
    (none,) = overall([CELLS[0], cell("grid", 5, None)], [agreement("grid", 5, None)], MIN_UNIQUE_FOR_SPEED)
    assert none.equal is None
    assert {none.speed_up.reason, none.memory_ratio.reason, none.adjusted_rand.reason} == {
        "no setting succeeded with both adapters"
    }
