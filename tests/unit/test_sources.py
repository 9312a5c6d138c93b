from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from flows.core.errors import ParameterError, SourceNotFoundError, UnreadableFileError, ZoneTableError
from flows.core.settings import Settings, load_settings
from flows.datasets.sources import require_zone_table, resolve, zone_table
from flows.model.points import SourceFile
from flows.model.spec import ExperimentSpec
from flows.store import ObjectStore, open_store
from flows.store.minio import MinioStore
from tests.unit.s3_server import KEYS, s3_server

MONTHS = ("yellow_tripdata_2025-10.parquet", "yellow_tripdata_2025-09.parquet", "green_tripdata_2025-09.parquet")


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    """A store with three months, and one in a folder."""
    store = open_store(settings)
    for name in (*MONTHS, "2024/yellow_tripdata_2025-01.parquet"):
        store.put_bytes(settings.data_bucket, name, name.encode())
    return store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with two local files and a folder."""
    folder = tmp_path / "my trips"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.csv").write_text("b")
    (folder / "a.csv").write_text("aa")
    monkeypatch.chdir(folder)
    return folder


def files(store: ObjectStore, settings: Settings, *data_source: str, use_minio: bool = True) -> tuple[SourceFile, ...]:
    spec = ExperimentSpec(data_source=data_source, use_minio=use_minio)
    with resolve(spec, settings, store) as found:
        for file in found:
            assert file.path.stat().st_size == file.size_bytes
        return found


def names(found: tuple[SourceFile, ...]) -> list[str]:
    return [file.name for file in found]


def test_objects_keep_the_order_given(store: ObjectStore, settings: Settings) -> None:
    found = files(store, settings, *MONTHS)
    assert names(found) == list(MONTHS)
    assert [file.path.read_text() for file in found] == list(MONTHS)


def test_glob_of_objects_is_by_name_and_stays_in_its_folder(store: ObjectStore, settings: Settings) -> None:
    found = files(store, settings, "green_tripdata_2025-09.parquet", "yellow_tripdata_2025-*.parquet")
    assert names(found) == [MONTHS[2], MONTHS[1], MONTHS[0]]
    assert names(files(store, settings, "*")) == sorted(MONTHS)
    assert names(files(store, settings, "2024/*-01.parquet")) == ["2024/yellow_tripdata_2025-01.parquet"]


def test_local_files_and_globs(store: ObjectStore, settings: Settings, folder: Path) -> None:
    assert names(files(store, settings, "b.csv", "a.csv", use_minio=False)) == ["b.csv", "a.csv"]
    assert names(files(store, settings, f"{folder}/*", use_minio=False)) == [f"{folder}/a.csv", f"{folder}/b.csv"]


def test_a_name_with_brackets_is_a_name_first(store: ObjectStore, settings: Settings, folder: Path) -> None:
    store.put_bytes(settings.data_bucket, "month[1].csv", b"x")
    assert names(files(store, settings, "month[1].csv")) == ["month[1].csv"]
    (folder / "trips[1].csv").write_text("x")
    assert names(files(store, settings, "trips[1].csv", use_minio=False)) == ["trips[1].csv"]


@pytest.mark.parametrize(
    ("data_source", "use_minio"),
    [
        ((MONTHS[0], MONTHS[0]), True),
        ((MONTHS[0], "yellow_*"), True),
        (("a.csv", "./a.csv"), False),
        (("a.csv", "link.csv"), False),
        (("*.csv", "a*"), False),
    ],
)
def test_a_file_named_twice_is_refused(
    store: ObjectStore, settings: Settings, folder: Path, data_source: tuple[str, ...], use_minio: bool
) -> None:
    (folder / "link.csv").symlink_to(folder / "a.csv")
    with pytest.raises(ParameterError, match="twice: its trips would count twice"):
        files(store, settings, *data_source, use_minio=use_minio)


def test_missing_object_names_the_bucket_the_nearest_and_the_ways_out(store: ObjectStore, settings: Settings) -> None:
    with pytest.raises(SourceNotFoundError) as refusal:
        files(store, settings, "yellow_tripdata_2025-19.parquet")
    message = str(refusal.value)
    assert message.startswith("no object 'yellow_tripdata_2025-19.parquet' in bucket taxi-data of the local store ")
    assert "yellow_tripdata_2025-09.parquet" in message
    assert "taxi-flows data put" in message
    with pytest.raises(SourceNotFoundError, match="`taxi-flows data fetch green 2024-02`"):
        files(store, settings, "green_tripdata_2024-02.parquet")


@pytest.mark.parametrize("entry", ["fhv_*.parquet", "../secret", "/nowhere/x", "", "nothing like it"])
def test_missing_object_shows_what_is_there(store: ObjectStore, settings: Settings, entry: str) -> None:
    with pytest.raises(SourceNotFoundError, match=r"no object .*green_tripdata_2025-09\.parquet"):
        files(store, settings, entry)


def test_empty_bucket(settings: Settings) -> None:
    with pytest.raises(SourceNotFoundError, match="The bucket is empty"):
        files(open_store(settings), settings, MONTHS[0])


def test_missing_object_that_is_a_local_file(store: ObjectStore, settings: Settings, folder: Path) -> None:
    for entry in ("a.csv", str(folder / "a.csv"), "*.csv"):
        with pytest.raises(SourceNotFoundError, match=r"is a local file.*--no-minio \(use_minio=False\)"):
            files(store, settings, entry)


def test_missing_file_that_is_an_object(store: ObjectStore, settings: Settings) -> None:
    with pytest.raises(SourceNotFoundError, match=r"is no local file, but an object.*--minio"):
        files(store, settings, MONTHS[0], use_minio=False)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("aa.csv", "no file aa.csv. Near it are: a.csv"),
        ("nothing like it", "holds a.csv, b.csv"),
        ("sub/x.csv", "sub is empty"),
        ("nowhere/x.csv", "There is no folder nowhere"),
        ("*.parquet", "holds a.csv, b.csv"),
    ],
)
def test_missing_file_says_what_is_there(store: ObjectStore, settings: Settings, entry: str, message: str) -> None:
    with pytest.raises(SourceNotFoundError) as refusal:
        files(store, settings, entry, use_minio=False)
    assert message in str(refusal.value)


def test_folders_and_devices_are_refused(store: ObjectStore, settings: Settings, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for entry, message in (("sub", "sub is a directory"), (".", "is a directory"), ("pipe", "no regular file")):
        with pytest.raises(UnreadableFileError, match=message):
            files(store, settings, entry, use_minio=False)
    for entry in ("2024", "2024/"):
        with pytest.raises(UnreadableFileError, match="is a folder of bucket taxi-data"):
            files(store, settings, entry)


def test_a_table_in_parts_is_all_its_files(
    store: ObjectStore, settings: Settings, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = ["month.parquet/part-0.parquet", "month.parquet/part-1.parquet"]
    for name in (*wanted, "month.parquet/_SUCCESS"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
        store.put_bytes(settings.data_bucket, name, b"x")
    for entry in ("month.parquet", "month.parquet/*", "*.parquet/*.parquet", "m*.parquet", "./month.parquet/"):
        assert names(files(store, settings, entry, use_minio=False)) == wanted
    for entry in ("month.parquet", "month.parquet/", "month.parquet/*", "m*.parquet", "m*.parquet/**"):
        assert names(files(store, settings, entry)) == wanted
    assert "m*.parquet/**: passed over hidden names: month.parquet/_SUCCESS" in caplog.messages
    assert len(caplog.messages) == len(set(caplog.messages)), "said once"
    (folder / "empty.parquet").mkdir()
    with pytest.raises(UnreadableFileError, match=r"empty\.parquet is a directory without a file"):
        files(store, settings, "empty.parquet", use_minio=False)


def test_folders_beside_files_are_told(
    store: ObjectStore, settings: Settings, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "sub" / "c.csv").touch()
    assert names(files(store, settings, "./*", use_minio=False)) == ["a.csv", "b.csv"]
    assert "./*: passed over folders: sub/. Name their files, too, or use **." in caplog.messages
    assert len(files(store, settings, "[2gy]*")) == len(MONTHS)
    assert "[2gy]*: passed over folders: 2024/. Name their files, too, or use **." in caplog.messages
    for use_minio, entry, message in ((False, "s*", "matches no file, but sub/"), (True, "2*", "no file, but 2024/")):
        with pytest.raises(UnreadableFileError, match=message):
            files(store, settings, entry, use_minio=use_minio)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("yellow_tripdata_2016-01.csv", "yellow_tripdata_2016-01.parquet"),
        ("a/yellow_tripdata_2016-01.csv", "b/yellow_tripdata_2016-01.csv.gz"),
        ("trips/jan.csv", "trips/jan.parquet"),
    ],
)
def test_one_month_in_two_formats(
    store: ObjectStore, settings: Settings, folder: Path, first: str, second: str
) -> None:
    for name in (first, second):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
        store.put_bytes(settings.data_bucket, name, b"x")
    for use_minio in (True, False):
        with pytest.raises(ParameterError, match=rf"{first} and {second}: the same month in two formats"):
            files(store, settings, first, second, use_minio=use_minio)


def test_parts_of_one_name_in_several_folders_are_no_repetition(store: ObjectStore, settings: Settings) -> None:
    for name in ("year=2016/month=01/part-0.csv", "year=2016/month=02/part-0.parquet"):
        store.put_bytes(settings.data_bucket, name, name.encode())
    assert len(files(store, settings, "year=2016/*/*")) == 2


@pytest.mark.parametrize("use_minio", [True, False])
@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("https://host/yellow_tripdata_2024-01.parquet", "`taxi-flows data fetch yellow 2024-01`"),
        (
            "http://user:secret@host/x.csv?token=secret",
            "http://host/x.csv is an address.*data fetch.*`taxi-flows data put`",
        ),
        ("s3://taxi-data/2016/a.parquet", r"key with --minio \(use_minio=True\): 2016/a\.parquet\. "),
        ("s3://other/a.parquet", "download any other file yourself"),
        ("S3A://other/a.parquet", "is an address: addresses are not read"),
        ("gs://bucket/*.parquet", "is an address: addresses are not read"),
        ("file:///data/a.csv", r"path with --no-minio \(use_minio=False\): /data/a\.csv\. "),
        ("https:/host/a.csv", "is an address: addresses are not read"),
    ],
)
def test_addresses_are_not_read(
    store: ObjectStore, settings: Settings, address: str, advice: str, use_minio: bool
) -> None:
    with pytest.raises(ParameterError, match=advice) as refusal:
        files(store, settings, address, use_minio=use_minio)
    assert "data fetch" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_only_keys_of_objects_are_matched(settings: Settings, folder: Path) -> None:
    """A flow run's pod has files of its own, which are nobody's business."""
    with s3_server("taxi-data") as endpoint:
        store = MinioStore(endpoint, *KEYS, secure=False)
        for entry in (
            "a.csv",
            "*.csv",
            f"{folder}/*",
            str(folder / "a.csv"),
            "/proc/self/environ",
            "/*/*/*",
            "..",
            "~/x",
        ):
            with pytest.raises(SourceNotFoundError, match=r"no object .*The bucket is empty"):
                files(store, settings, entry)
        for entry in ("x" * 300, "a" * 1025, "*" * 1024, "[" * 1024, "[a-" * 300, "a\0b", "**/**/**/**"):
            with pytest.raises((SourceNotFoundError, ParameterError)):
                files(store, settings, entry)


@pytest.mark.parametrize("entry", ["x" * 300, "x/" * 3000, "a\0b", "*" * 400, "[" * 300 + "/x"])
def test_long_and_odd_names_are_missing_files(store: ObjectStore, settings: Settings, entry: str) -> None:
    with pytest.raises((SourceNotFoundError, ParameterError)):
        files(store, settings, entry, use_minio=False)


def test_zone_table_comes_from_the_setting_then_from_the_store(
    settings: Settings, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(settings)
    assert zone_table(settings, store) is None
    packed = shutil.make_archive(str(tmp_path / "zones"), "zip", shared_data / "zones")
    store.put_file(settings.data_bucket, "reference/taxi_zones.zip", Path(packed))
    found = zone_table(settings, store)
    assert found is not None
    assert len(found.ids) == 260
    assert require_zone_table(found, settings) is found
    monkeypatch.setenv("TAXI_ZONE_TABLE", str(tmp_path / "other.zip"))
    with pytest.raises(ZoneTableError, match=r"other\.zip is not there"):
        zone_table(load_settings(), store)


def test_no_zone_table_says_how_to_get_one(settings: Settings) -> None:
    with pytest.raises(ZoneTableError, match=r"reference/taxi_zones\.zip.*data fetch yellow 2025-09.*TAXI_ZONE_TABLE"):
        require_zone_table(None, settings)


def test_damaged_zone_table_in_the_store(settings: Settings) -> None:
    store = open_store(settings)
    store.put_bytes(settings.data_bucket, "reference/taxi_zones.zip", b"<html>")
    with pytest.raises(ZoneTableError, match="can't be read"):
        zone_table(settings, store)
