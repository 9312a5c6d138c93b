from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from flows.model.metric import Metric
from flows.model.records import DIFFERING_NOTE, ExperimentRecord, Quality
from flows.report.terminal import render, to_text
from flows.report.terminal_sweeps import comparison_text
from flows.steps.record import record
from flows.store import open_store
from tests.unit.builders import a_comparison_record
from tests.unit.experiments import by_zone, finished_experiment


@pytest.fixture
def kept(tmp_path: Path) -> ExperimentRecord:
    finished = finished_experiment(tmp_path)
    quality = Quality(
        silhouette=Metric(value=None, reason="fewer than two clusters among the sampled trips (1 found)"),
        davies_bouldin=Metric(value=0.1234),
        calinski_harabasz=Metric(value=98765.43),
        silhouette_sample_size=200,
        silhouette_sample_clustered=180,
    )
    return record(replace(finished, quality=quality), open_store(finished.settings))[0]


def lines(text: str) -> dict[str, str]:
    """Value by name; names and values are two or more blanks apart."""
    parts = (line.strip().split("  ", 1) for line in text.splitlines() if "  " in line.strip())
    return {name: value.strip() for name, value in parts}


def test_the_table_names_everything(kept: ExperimentRecord) -> None:
    found = lines(to_text(kept))
    used = kept.points.used
    assert found["source"] == f"trips [1].csv (yellow 2015, {used + 10:,} rows)"
    assert found["rows"] == f"{used + 10:,}"
    assert found["used points"] == f"{used:,}"
    assert found["unique points"] == "120"
    assert found["dropped"] == "3 null, 7 zero"
    assert found["adapter"] == "sklearn, 2 workers"
    assert found["eps"] == "0.5 km"
    assert found["min_samples"] == "5"
    assert found["clusters"] == "3"
    assert found["noise ratio"] == f"{kept.clustering.n_noise / used:.2%}"
    assert found["largest share"] == f"{max(kept.clustering.sizes) / used:.2%}"
    assert found["flag"] == "one blob: eps is too large for hot spots"
    assert found["silhouette"].startswith("undefined: fewer than two clusters")
    assert found["Davies-Bouldin"] == "0.1234"
    assert found["Calinski-Harabasz"] == "98,765.4"
    assert found["overall score"] == "undefined: quality was not asked for"
    assert found["fit"] == "0.500 s, 0.900 s of CPU"
    assert found["peak memory of fit"] == "3.0 MiB"
    assert found["seconds by step"].startswith("ingest 0.10, prepare 0.20, cluster 0.60, record ")
    assert found["record"] == kept.key


def test_without_quality_and_with_a_sample_of_zones(tmp_path: Path) -> None:
    finished = by_zone(finished_experiment(tmp_path))
    spec = finished.spec.model_copy(update={"max_samples": 1000, "seed": 7, "hours": "7-10", "weekdays": "mon-fri"})
    text = to_text(record(replace(finished, spec=spec), open_store(finished.settings))[0])
    found = lines(text)
    assert found["note"] == "positions are zone centroids: 120 distinct points"
    assert found["used points"].endswith("(at most 1,000, drawn with seed 7)")
    assert found["picked up"] == "hours 7-10, weekdays mon-fri"
    assert "silhouette" not in text


def test_many_files_are_shortened(kept: ExperimentRecord) -> None:
    many = kept.model_copy(update={"source": kept.source * 24})
    assert "and 18 more files" in to_text(many)


def test_the_location_is_one_line_in_a_narrow_pipe(kept: ExperimentRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    sink = StringIO()
    location = "/a long way/" + "x" * 100
    render(kept, Console(file=sink), location)
    assert sink.getvalue().splitlines()[-1] == f"record  {location}"
    assert "\x1b" not in sink.getvalue()


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color(kept: ExperimentRecord, monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    sink = StringIO()
    render(kept, Console(file=sink, force_terminal=True))
    assert ("\x1b[36m" in sink.getvalue()) is coloured


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["yellow_tripdata_2016-01.csv"], None),
        (["a.csv", "b.csv"], "2 files, 300 rows"),
        (
            ["yellow_tripdata_2016-01.csv", "yellow_tripdata_2016-03.csv"],
            "2 files, 300 rows, 2 months by name: 2016-01 to 2016-03",
        ),
        (["year=2016/month=1/p.csv", "year=2016/month=1/q.csv"], "2 files, 300 rows, 1 month by name: 2016-01"),
        (
            ["a/green_tripdata_2016-01.csv", "b/green_tripdata_2016-01.csv"],
            "2 files, 300 rows, 1 month by name: 2016-01; green 2016-01 is in 2 files: a/green_tripdata_2016-01.csv, "
            "b/green_tripdata_2016-01.csv",
        ),
    ],
)
def test_what_a_source_became(kept: ExperimentRecord, names: list[str], expected: str | None) -> None:
    files = tuple(
        kept.source[0].model_copy(update={"name": name, "rows": 100 * (place + 1), "sha256": name})
        for place, name in enumerate(names)
    )
    text = render_wide(kept.model_copy(update={"source": files}))
    assert lines(text).get("in all") == expected


def test_copies_are_told(kept: ExperimentRecord) -> None:
    files = tuple(kept.source[0].model_copy(update={"name": name}) for name in ("a.csv", "copy of a.csv"))
    text = render_wide(kept.model_copy(update={"source": files}))
    assert lines(text)["in all"].endswith("rows; the same bytes: a.csv, copy of a.csv")


def render_wide(record: ExperimentRecord) -> str:
    sink = StringIO()
    render(record, Console(file=sink, width=300))
    return sink.getvalue()


def test_a_comparison_says_what_a_sweep_does_of_its_trips() -> None:
    record = a_comparison_record()
    points = record.points.model_copy(update={"note": "coarse coordinates: as told", "differing_rows": 7})
    none = Metric(value=None, reason="a fit took too little memory to measure")
    overall = tuple(one.model_copy(update={"memory_ratio": none}) for one in record.overall)
    text = comparison_text(record.model_copy(update={"points": points, "overall": overall}), "here")
    for line in ("coarse coordinates: as told", f"7 rows: {DIFFERING_NOTE}", none.reason):
        assert line is not None
        assert line in text
