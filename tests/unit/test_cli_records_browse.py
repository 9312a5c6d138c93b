"""`records ls|diff|export`: filters, order, what differs, and one flat table."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from flows.core.settings import load_settings
from flows.core.text import printable
from flows.model.metric import Metric
from flows.model.records import ExperimentRecord
from flows.records.find import latest_record
from flows.records.flat import flat_row
from flows.records.period import load_period
from flows.runtime.diff import RecordDiff
from flows.store import open_store
from tests.unit.builders import CREATED, an_experiment_record

GREEN = "green_tripdata_2016-01.parquet"
UNDEFINED = Metric(value=None, reason="one cluster")


def records(*args: str) -> Result:
    return CliRunner().invoke(main, ["records", *args])


def keep(*kept: ExperimentRecord) -> None:
    settings = load_settings()
    for record in kept:
        open_store(settings).put_bytes(settings.experiments_bucket, record.key, record.model_dump_json().encode())


@pytest.fixture
def three() -> list[ExperimentRecord]:
    """Three records of three days, the oldest first."""
    days = [CREATED + timedelta(days=number) for number in range(3)]
    kept = [
        an_experiment_record(number=0, created=days[0], score=Metric(value=0.9)),
        an_experiment_record(number=1, created=days[1], score=UNDEFINED, adapter="grid"),
        an_experiment_record(number=2, created=days[2], score=Metric(value=0.4), source=GREEN, runtime_seconds=0.1),
    ]
    keep(*kept)
    return kept


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [2, 1, 0]),
        ("--limit 2", [2, 1]),
        ("--since 2026-02-01", [2, 1]),
        ("--adapter grid", [1]),
        (f"--source {GREEN}", [2]),
        ("--source yellow_*", [1, 0]),
        ("--sort overall_score", [0, 2, 1]),
        ("--sort runtime_seconds --limit 1", [2]),
        ("--since 2027-01-01", []),
    ],
)
def test_records_are_chosen_and_ordered(three: list[ExperimentRecord], words: str, expected: list[int]) -> None:
    listed = json.loads(records("ls", *words.split(), "--json").stdout)
    assert [one["id"] for one in listed] == [three[number].id for number in expected]


@pytest.mark.parametrize(
    ("words", "named"),
    [("--since yesterday", "since is 'yesterday'"), ("--adapter quantum", "quantum"), ("--sort beauty", "beauty")],
)
def test_a_bad_filter_is_refused(words: str, named: str) -> None:
    done = records("ls", *words.split())
    assert done.exit_code == 2
    assert named in done.stderr


@pytest.mark.usefixtures("three")
def test_the_metric_that_sorts_is_shown() -> None:
    assert "davies bouldin" in records("ls", "--sort", "davies_bouldin").stdout


def test_what_is_no_record_is_named_and_left_out(three: list[ExperimentRecord]) -> None:
    settings = load_settings()
    folder = three[2].key.rpartition("/")[0]
    for name, content in (("corrupt", b"{"), ("old", b'{"schema_version": 0}')):
        open_store(settings).put_bytes(settings.experiments_bucket, f"{folder}/{name}.json", content)
    done = records("ls", "--json")
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)) == 3
    assert f"left out: {folder}/corrupt.json is no record" in done.stderr
    assert "left out: 1 of another schema version" in done.stderr


@pytest.mark.parametrize(("name", "options"), [("all.csv", []), ("all.parquet", []), ("all.txt", ["--format", "csv"])])
def test_the_export_is_one_flat_table(
    three: list[ExperimentRecord], tmp_path: Path, name: str, options: list[str]
) -> None:
    file = tmp_path / name
    done = records("export", str(file), *options)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{file}: 3 records\n"
    table = pd.read_parquet(file) if name.endswith("parquet") else pd.read_csv(file)
    assert list(table["id"]) == [record.id for record in reversed(three)]
    assert list(table.columns) == list(flat_row(three[0]))
    assert table["overall_score"].isna().tolist() == [False, True, False]
    assert table["runtime_seconds"].tolist() == [0.1, 0.731, 0.731]
    assert table["dropped_zero"].tolist() == [800] * 3


@pytest.mark.parametrize(
    ("words", "named"),
    [("x.txt", ".csv or .parquet"), ("nowhere/x.csv", "no folder"), ("x.csv --since 2027-01-01", "no record matches")],
)
@pytest.mark.usefixtures("three")
def test_an_export_that_can_not_be_is_refused(words: str, named: str) -> None:
    done = records("export", *words.split())
    assert done.exit_code == 2
    assert named in done.stderr


def difference(first: ExperimentRecord, second: ExperimentRecord) -> RecordDiff:
    keep(first, second)
    done = records("diff", first.id, second.id, "--json")
    assert done.exit_code == 0, done.stderr
    return RecordDiff.model_validate_json(done.stdout)


@pytest.mark.parametrize("source", ["=cmd|' /C calc'!A0.csv", "+1.csv", "-1.csv", "@a.csv", "\ta.csv", "\ra.csv"])
def test_text_in_csv_is_no_formula(source: str, tmp_path: Path) -> None:
    keep(an_experiment_record(source=source), an_experiment_record(number=1, score=Metric(value=-0.25)))
    for suffix, expected in ((".csv", f"'{printable(source)}"), (".parquet", source)):
        file = tmp_path / f"out{suffix}"
        assert records("export", str(file)).exit_code == 0
        table = pd.read_csv(file) if suffix == ".csv" else pd.read_parquet(file)
        assert table["data_source"].tolist()[1] == expected
        assert table["overall_score"].tolist() == [-0.25, 0.7312]


FOREIGN = {
    "truncated": b'{"schema_version": 1, "id": "2026',
    "text": b"\xff\xfe not json",
    "empty": b"",
    "deep": b"[" * 100_000,
    "array": b"[1, 2]",
}


def changed(name: str, value: str) -> bytes:
    """A record with one value replaced by JSON text, as a person or another program may have written it."""
    whole = an_experiment_record().model_dump(mode="json")
    *folders, last = name.split(".")
    place = whole
    for folder in folders:
        place = place[folder]
    place[last] = "<here>"
    return json.dumps(whole).replace('"<here>"', value).encode()


CHANGED = {
    "spec.seed": str(242285449577923862350571934587112984123),
    "spec.min_samples": str(2**63),
    "spec.max_samples": "1" + "0" * 5000,
    "points.used": str(2**64),
    "clustering.sizes": f"[{2**70}]",
    "overall_score": "NaN",
    "performance.runtime_seconds": "Infinity",
    "quality.silhouette": "1e999",
    "timings": '{"ingest": NaN}',
    "spec.eps": "-Infinity",
    "created": '"2026-01-31T02:03:04"',
    "source": '[{"name": "\\ud800"}]',
}


def test_foreign_records_are_passed_over_by_name_everywhere(three: list[ExperimentRecord], tmp_path: Path) -> None:
    settings = load_settings()
    store = open_store(settings)
    folder = three[1].key.rpartition("/")[0]
    odd = FOREIGN | {name: changed(name, value) for name, value in CHANGED.items()}
    for name, content in odd.items():
        store.put_bytes(settings.experiments_bucket, f"{folder}/{name}.json", content)
    root = settings.store_dir / settings.experiments_bucket
    for hidden in (f"{folder}/.ipynb_checkpoints/a-checkpoint.json", f"{folder}/._a.json", "experiments/.DS_Store"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"{")
    (root / folder / "a-folder.json").mkdir()
    (root / "experiments" / "date=today").mkdir()
    listed = records("ls", "--json")
    assert [one["id"] for one in json.loads(listed.stdout)] == [record.id for record in reversed(three)]
    for form in ("csv", "parquet"):
        done = records("export", str(tmp_path / f"out.{form}"))
        assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/out.{form}: 3 records\n")
    named = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert sorted(named) == sorted(f"left out: {folder}/{name}.json is no record" for name in odd)
    day = CREATED.date()
    period = load_period(store, settings, day, day + timedelta(days=9))
    assert (len(period.records), len(period.corrupt)) == (3, len(odd))
    assert latest_record(store, settings).record in three


def test_parameters_and_metrics_that_differ_are_told() -> None:
    first = an_experiment_record(number=0)
    second = an_experiment_record(number=1, adapter="grid", score=UNDEFINED, runtime_seconds=1.731)
    found = difference(first, second)
    assert [(one.name, one.first, one.second) for one in found.parameters] == [("adapter_type", "sklearn", "grid")]
    metrics = {one.name: one for one in found.metrics}
    assert metrics["runtime_seconds"].difference == pytest.approx(1.0)
    assert metrics["overall_score"].difference is None
    assert metrics["overall_score"].second == UNDEFINED
    printed = records("diff", first.id, second.id).stdout
    assert "adapter_type" in printed
    assert "undefined: one cluster" in printed


def test_labels_are_not_compared_over_other_points() -> None:
    first = an_experiment_record(number=0)
    other = first.model_copy(
        update={"spec": first.spec.model_copy(update={"hours": "7-10"}), "id": first.id[:-1] + "1"}
    )
    other = other.model_copy(update={"key": other.key.replace(first.id, other.id)})
    assert "hours differs" in (difference(first, other).adjusted_rand.reason or "")


def test_labels_are_not_compared_without_the_source() -> None:
    reason = difference(an_experiment_record(number=0), an_experiment_record(number=1)).adjusted_rand.reason
    assert reason is not None
    assert "no object" in reason
