"""The same facts as Prefect artifacts."""

from __future__ import annotations

import json
import math

import pytest

from flows.model.metric import Metric
from flows.report import artifacts, tables
from tests.unit.builders import (
    a_cell,
    a_cluster_frame,
    a_comparison_record,
    a_sweep_record,
    an_aggregate_record,
    an_experiment_record,
)


def test_rows_are_plain_json_by_title_with_unit() -> None:
    rows = artifacts.rows(tables.clusters(a_cluster_frame(1500), 49_000, "trips"))
    assert len(rows) == 1000
    assert rows[0]["cluster"] == 0
    assert rows[0]["trips"] == 20_000
    assert rows[6]["zone"] is None
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_becomes_none(number: float) -> None:
    table = tables.Table.of("t", "", [tables.Column("value", ".1f")], [(number,), (Metric(value=number),)])
    assert artifacts.rows(table) == [{"value": None}, {"value": None}]


def test_a_failed_cell_says_why() -> None:
    rows = artifacts.rows(artifacts.main_table(a_sweep_record()))
    failed = rows[10]
    assert failed["overall score, 0 to 1"] is None
    assert "31.2 GiB" in str(failed["note"])
    assert rows[3]["note"] == "best"
    assert rows[9]["note"] == "one blob"


def test_an_aggregate_has_its_statistics() -> None:
    rows = artifacts.rows(artifacts.main_table(an_aggregate_record()))
    assert len(rows) == 8
    assert rows[1]["metric"] == "fit time, s"
    assert rows[1]["undefined"] == 1


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("evaluation_pipeline", "clusters"), "evaluation-pipeline-clusters"),
        (("Sweep: 0.5 km",), "sweep-0-5-km"),
        (("20260131T020304Z-ab12cd34",), "20260131t020304z-ab12cd34"),
    ],
)
def test_keys_are_lower_case_and_dashes(parts: tuple[str, ...], expected: str) -> None:
    assert artifacts.key(*parts) == expected


@pytest.mark.parametrize(
    "record",
    [an_experiment_record(), a_sweep_record(), a_comparison_record(), an_aggregate_record()],
    ids=lambda record: type(record).__name__,
)
def test_markdown_names_the_record_and_the_report(record: artifacts.AnyRecord) -> None:
    text = artifacts.markdown(record, "/tmp/report.html")  # noqa: S108 - a name that is not opened
    assert record.id in text.splitlines()[0]
    assert "/tmp/report.html" in text  # noqa: S108
    assert "nan" not in text.lower().split()
    assert record.id in artifacts.link_text(record)


def test_markdown_tells_numbers_with_units() -> None:
    text = artifacts.markdown(an_experiment_record())
    assert "- **eps**: 0.5 km" in text
    assert "312.0 MiB" in text
    assert "| longitude or latitude is exactly 0 | 800 | 1.60 |" in text


def test_markdown_takes_names_as_they_are() -> None:
    text = artifacts.markdown(an_experiment_record(source="a|b<img>[x](y)*.csv"))
    assert r"a\|b\<img\>\[x\](y)\*.csv" in text


def test_a_comparison_tells_agreement() -> None:
    text = artifacts.markdown(a_comparison_record())
    assert r"| sklearn\_parallel | sklearn | all | all | 3.91 |" in text


def test_a_grid_longer_than_a_table_is_cut_to_its_best() -> None:
    cells = [a_cell(0.01 * step, count, score=step / 100) for step in range(1, 32) for count in range(2, 42)]
    rows = artifacts.rows(artifacts.main_table(a_sweep_record(cells)))
    assert len(rows) == 1000
    assert rows[0]["overall score, 0 to 1"] == 0.31
    assert rows[0]["note"] == "best"
