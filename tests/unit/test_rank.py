"""Cells are ranked by the metric's own direction; what can't be compared is never best."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.errors import ParameterError
from flows.model.metric import Metric
from flows.model.ranking import METRICS, best, check_metric, ranking
from flows.model.records import ClusterCounts, Performance, Quality
from flows.model.sweeps import Cell

LOWEST = {
    "davies_bouldin",
    "noise_ratio",
    "largest_cluster_share",
    "runtime_seconds",
    "cpu_seconds",
    "peak_memory_bytes",
}


@dataclass(frozen=True)
class Numbers:
    """What a cell's metrics are, the same for all but a few."""

    score: float | None = 0.5
    silhouette: float | None = 0.5
    noise_ratio: float = 0.25
    runtime_seconds: float = 2.0
    one_blob: bool = False


def metric(value: float | None) -> Metric:
    return Metric(value=value, reason="fewer than two clusters" if value is None else None)


def cell(numbers: Numbers = Numbers(), eps: float = 0.3, min_samples: int = 5) -> Cell:
    return Cell(
        adapter="sklearn",
        eps=eps,
        min_samples=min_samples,
        status="ok",
        clustering=ClusterCounts(
            n_clusters=3,
            n_core=60,
            n_border=15,
            n_noise=25,
            noise_ratio=metric(numbers.noise_ratio),
            largest_cluster_share=metric(0.4),
            one_blob=numbers.one_blob,
            sizes=(40, 20, 15),
        ),
        quality=Quality(
            silhouette=metric(numbers.silhouette),
            davies_bouldin=metric(0.8),
            calinski_harabasz=metric(120.0),
            silhouette_sample_size=100,
            silhouette_sample_clustered=75,
        ),
        performance=Performance(
            n_jobs=1,
            runtime_seconds=numbers.runtime_seconds,
            cpu_seconds=1.9,
            points_per_second=metric(50.0),
            peak_memory_bytes=metric(1e6),
        ),
        overall_score=metric(numbers.score),
    )


def failed(eps: float = 0.1) -> Cell:
    return Cell(adapter="sklearn", eps=eps, min_samples=5, status="failed", reason="out of memory")


def test_every_metric_is_read_and_has_a_direction() -> None:
    expected = {
        "overall_score": 0.5,
        "silhouette": 0.5,
        "davies_bouldin": 0.8,
        "calinski_harabasz": 120,
        "noise_ratio": 0.25,
        "largest_cluster_share": 0.4,
        "n_clusters": 3,
        "runtime_seconds": 2,
        "cpu_seconds": 1.9,
        "points_per_second": 50,
        "peak_memory_bytes": 1e6,
    }
    assert {name: kind.read(cell()).value for name, kind in METRICS.items()} == expected
    assert {name for name, kind in METRICS.items() if kind.better == "lowest"} == LOWEST


@pytest.mark.parametrize("name", METRICS)
def test_a_failed_cell_has_no_metric_but_a_reason(name: str) -> None:
    found = check_metric(name).read(failed())
    assert found.value is None
    assert found.reason


def test_an_unknown_metric_is_refused_with_the_known() -> None:
    for use in (check_metric, lambda name: best([], name), lambda name: ranking([], name)):
        with pytest.raises(ParameterError, match=r"unknown metric 'accuracy'.*overall_score, silhouette"):
            use("accuracy")


def test_each_direction() -> None:
    cells = [cell(Numbers(score=value, noise_ratio=value, runtime_seconds=value)) for value in (0.2, 0.9, 0.4)]
    assert ranking(cells, "overall_score") == [1, 2, 0]
    assert ranking(cells, "noise_ratio") == ranking(cells, "runtime_seconds") == [0, 2, 1]
    assert best(cells, "overall_score") == (1, "highest overall_score of 3 cells")
    assert best(cells, "noise_ratio") == (0, "lowest noise_ratio of 3 cells")


def test_blobs_rank_after_all_others_under_the_score_alone() -> None:
    cells = [cell(Numbers(score=0.9, silhouette=0.9, one_blob=True)), cell(Numbers(score=0.1, silhouette=0.1))]
    assert ranking(cells, "overall_score") == [1, 0]
    assert best(cells, "overall_score") == (
        1,
        "highest overall_score of 1 cell; 1 more flagged as one blob rank after them",
    )
    assert ranking(cells, "silhouette") == [0, 1]


def test_undefined_then_failed_come_last_and_are_never_best() -> None:
    blob = cell(Numbers(score=0.9, one_blob=True))
    cells = [failed(), cell(Numbers(score=None)), cell(Numbers(score=float("nan"))), blob, cell(Numbers(score=0.1))]
    assert ranking(cells, "overall_score") == [4, 3, 1, 2, 0]
    assert best(cells[:3], "overall_score") == (
        None,
        "no cell has overall_score: out of memory; fewer than two clusters; no reason was recorded",
    )
    assert best([], "silhouette") == (None, "no cell has silhouette: there is no cell")


def test_the_best_of_blobs_says_so() -> None:
    index, reason = best([failed(), cell(Numbers(one_blob=True))], "overall_score")
    assert index == 1
    assert "try a smaller eps" in reason


def test_ties_go_to_the_smaller_eps_then_min_samples_then_the_first() -> None:
    cells = [cell(eps=0.5), cell(eps=0.3, min_samples=10), cell(eps=0.3), cell(eps=0.3)]
    assert ranking(cells, "overall_score") == [2, 3, 1, 0]
    index, reason = best(cells, "overall_score")
    assert index == 2
    assert "4 tie: the smaller eps" in reason


cells_of_any_kind = st.one_of(
    st.just(failed()),
    st.builds(
        cell,
        st.builds(
            Numbers,
            score=st.none() | st.sampled_from([0.1, 0.5, 0.9]),
            runtime_seconds=st.sampled_from([1.0, 2.0]),
            one_blob=st.booleans(),
        ),
        eps=st.sampled_from([0.1, 0.3]),
        min_samples=st.sampled_from([5, 10]),
    ),
)


@given(st.lists(cells_of_any_kind, max_size=12), st.sampled_from(["overall_score", "runtime_seconds"]))
def test_a_ranking_holds_each_cell_once_and_begins_with_the_best(cells: list[Cell], name: str) -> None:
    order = ranking(cells, name)
    assert sorted(order) == list(range(len(cells)))
    index, reason = best(cells, name)
    defined = [one for one in cells if one.status == "ok" and METRICS[name].read(one).value is not None]
    assert (index is None) == (defined == [])
    assert reason
    if index is not None:
        assert index == order[0]
        assert cells[index] in defined


@given(st.permutations([cell(eps=eps, min_samples=n) for eps in (0.1, 0.3) for n in (5, 10)]))
def test_the_order_of_distinct_settings_does_not_matter(cells: list[Cell]) -> None:
    found = [(cells[index].eps, cells[index].min_samples) for index in ranking(cells, "silhouette")]
    assert found == [(0.1, 5), (0.1, 10), (0.3, 5), (0.3, 10)]
