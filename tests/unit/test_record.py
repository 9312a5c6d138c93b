from __future__ import annotations

import hashlib
import importlib.metadata
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from flows import __version__
from flows.core.errors import ParameterError, StoreError, UnreadableFileError
from flows.core.settings import Settings, load_settings
from flows.datasets.zones import load_zone_table
from flows.model.points import BadRows, SourceFile
from flows.records.storage import clusters_key, list_records, new_id, read_record, record_key
from flows.report.terminal import to_text
from flows.steps.clusters import cluster_table, from_parquet
from flows.steps.environment import environment
from flows.steps.record import fingerprint_files, record
from flows.store import LocalStore, ObjectInfo
from tests.unit.experiments import by_zone, finished_experiment


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> LocalStore:
    return LocalStore(settings.store_dir)


def keys(store: LocalStore, settings: Settings) -> list[str]:
    return [found.key for found in store.list(settings.experiments_bucket)]


def test_a_record_comes_back_as_it_was_kept(store: LocalStore, settings: Settings, tmp_path: Path) -> None:
    finished = finished_experiment(tmp_path)
    kept, clusters = record(finished, store)
    assert read_record(store, settings, kept.id) == kept
    assert keys(store, settings) == [kept.clusters_key, kept.key]
    assert kept.key == f"experiments/date={kept.created:%Y-%m-%d}/{kept.id}.json"
    assert kept.created.utcoffset() == timedelta(0)
    assert from_parquet(store.get_bytes(settings.experiments_bucket, kept.clusters_key)).equals(clusters)
    assert clusters.equals(cluster_table(finished.points, finished.clustering.labels, None))
    assert clusters["size"].to_pylist() == list(kept.clustering.sizes)


def test_skipped_rows_are_recorded_and_shown(store: LocalStore, tmp_path: Path) -> None:
    finished = finished_experiment(tmp_path)
    points = replace(finished.points, skipped_per_file=(BadRows().extended((7, 9)).extended((12,)),))
    kept, _ = record(replace(finished, points=points), store)
    assert read_record(store, Settings(), kept.id).source[0].skipped == BadRows(n=3, lines=(7, 9, 12))
    assert "3 bad rows (lines 7, 9, 12) of trips [1].csv" in to_text(kept)


def test_what_a_record_holds(store: LocalStore, tmp_path: Path) -> None:
    finished = finished_experiment(tmp_path)
    kept, _ = record(finished, store)
    assert kept.spec == finished.spec
    assert kept.points.rows == kept.points.used + 10
    assert (kept.points.unique, kept.points.dropped["zero"], kept.points.note) == (120, 7, None)
    (file,) = kept.source
    assert (file.name, file.size_bytes, file.rows, file.dialect) == (
        "trips [1].csv", 5, kept.points.rows, "yellow 2015",
    )  # fmt: skip
    assert file.sha256 == hashlib.sha256(b"trips").hexdigest()
    assert list(kept.timings) == ["ingest", "prepare", "cluster", "record"]
    assert kept.timings["record"] > 0
    assert kept.settings.zone_table_sha256 is None
    assert kept.environment.flow_run_id == "run-1"


def test_a_zone_record_says_that_positions_are_centroids(
    store: LocalStore, settings: Settings, tmp_path: Path, shared_data: Path
) -> None:
    zones = load_zone_table(shared_data / "zones")
    kept, _ = record(replace(by_zone(finished_experiment(tmp_path)), zones=zones), store)
    assert kept.points.positions == "zones"
    assert kept.points.note == "positions are zone centroids: 120 distinct points"
    assert kept.settings.zone_table_sha256 == zones.sha256
    assert read_record(store, settings, kept.id) == kept


def test_same_experiment_same_clusters(store: LocalStore, settings: Settings, tmp_path: Path) -> None:
    first, second = (record(finished_experiment(tmp_path), store)[0] for _ in range(2))
    assert first.id != second.id
    contents = [store.get_bytes(settings.experiments_bucket, one.clusters_key) for one in (first, second)]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("refused", "left"), [(".clusters.parquet", []), (".json", [".clusters.parquet"])])
def test_a_store_that_is_full_never_keeps_a_record_that_points_to_nothing(
    store: LocalStore,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    left: list[str],
) -> None:
    put = store.put_bytes

    def put_until_full(bucket: str, key: str, content: bytes) -> ObjectInfo:
        if key.endswith(refused):
            raise StoreError("the disk is full")
        return put(bucket, key, content)

    monkeypatch.setattr(store, "put_bytes", put_until_full)
    with pytest.raises(StoreError, match="full"):
        record(finished_experiment(tmp_path), store)
    assert [key[key.index(".") :] for key in keys(store, settings)] == left
    assert list_records(store, settings) == []


def test_records_are_listed_newest_first(store: LocalStore, settings: Settings, tmp_path: Path) -> None:
    kept, _ = record(finished_experiment(tmp_path), store)
    times = [datetime(2026, 1, day, hour, tzinfo=UTC) for day, hour in ((3, 1), (1, 5), (2, 9), (2, 7))]
    for created in times:
        one = new_id(created)
        again = kept.model_copy(update={"id": one, "created": created, "key": record_key(one)})
        store.put_bytes(settings.experiments_bucket, again.key, again.model_dump_json().encode())
    store.delete(settings.experiments_bucket, kept.key)
    newest_first = sorted(times, reverse=True)
    assert [one.created for one in list_records(store, settings)] == newest_first
    assert [one.created for one in list_records(store, settings, limit=3)] == newest_first[:3]
    assert [one.created for one in list_records(store, settings, since=date(2026, 1, 2))] == newest_first[:3]
    assert list_records(store, settings, since=date(2027, 1, 1)) == []


def test_listing_reads_only_what_it_shows(
    store: LocalStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = record(finished_experiment(tmp_path), store)
    for day in range(1, 28):
        store.put_bytes(settings.experiments_bucket, f"experiments/date=2020-01-{day:02}/x.json", b"never read")
    scanned: list[str] = []
    list_objects = store.list

    def spy(bucket: str, prefix: str = "") -> object:
        scanned.append(prefix)
        return list_objects(bucket, prefix)

    monkeypatch.setattr(store, "list", spy)
    assert list_records(store, settings, limit=1) == [kept]
    assert len(scanned) == 1


def test_no_records(store: LocalStore, settings: Settings) -> None:
    assert list_records(store, settings) == []
    with pytest.raises(StoreError, match=r"no record 20260131T020304Z-ab12cd34 .*records ls"):
        read_record(store, settings, "20260131T020304Z-ab12cd34")
    with pytest.raises(ParameterError, match=r"'\.\./x' is no id of an experiment: ids look like"):
        read_record(store, settings, "../x")


def test_damaged_record(store: LocalStore, settings: Settings) -> None:
    one = "20260131T020304Z-ab12cd34"
    store.put_bytes(settings.experiments_bucket, record_key(one), b'{"schema_version": 9}')
    with pytest.raises(StoreError, match=rf"{one}\.json is no record of this version: schema_version"):
        read_record(store, settings, one)


def test_ids_are_by_utc_time() -> None:
    created = datetime(2026, 1, 31, 22, 3, 4, tzinfo=timezone(timedelta(hours=-5)))
    one = new_id(created)
    assert re.fullmatch(r"20260201T030304Z-[0-9a-f]{8}", one)
    assert record_key(one) == f"experiments/date=2026-02-01/{one}.json"
    assert clusters_key(one) == f"experiments/date=2026-02-01/{one}.clusters.parquet"


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"more than before")
    with pytest.raises(UnreadableFileError, match=r"a\.csv has 16 bytes now and had 5"):
        fingerprint_files([SourceFile("a.csv", tmp_path / "a.csv", 5)])


def test_environment_names_what_is_installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment(settings, None)
    assert found.taxi_flows == __version__
    assert found.libraries["numpy"] == importlib.metadata.version("numpy")

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert environment(settings, None).libraries == {}
