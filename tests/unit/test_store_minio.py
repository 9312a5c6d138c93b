"""The same store behind S3's protocol: parts, checks, ranges, faults."""

from __future__ import annotations

import hashlib
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from minio import Minio

from flows import tasks
from flows.core.errors import SettingsError, StoreAccessError, StoreError
from flows.core.settings import load_settings
from flows.datasets.synthetic import write_synthetic_month
from flows.datasets.upload import put_file
from flows.model.parameters import experiment_spec
from flows.model.records import ExperimentRecord
from flows.runtime.context import open_run
from flows.store import ObjectInfo, ObjectStore, open_store
from flows.store import minio as minio_store
from flows.store.minio import MinioStore
from tests.unit.s3_server import KEYS, refusing, s3_server

DATA, RECORDS = "taxi-data", "taxi-experiments"
PART_BYTES = 5 << 20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server(DATA, RECORDS) as endpoint:
        yield endpoint


@pytest.fixture
def store(endpoint: str) -> MinioStore:
    store = MinioStore(endpoint, *KEYS, secure=False, part_bytes=PART_BYTES, retries=1)
    for found in list(store.list(DATA)):
        store.delete(DATA, found.key)
    return store


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minio_store, "_BACKOFF_SECONDS", 0.0)


def at(endpoint: str, retries: int = 2) -> MinioStore:
    return MinioStore(endpoint, *KEYS, secure=False, retries=retries)


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES, 2 * PART_BYTES + 7])
def test_a_file_comes_back_as_put_whatever_its_parts(store: MinioStore, tmp_path: Path, size_bytes: int) -> None:
    file, told = tmp_path / "month.csv", list[int]()
    file.write_bytes(os.urandom(size_bytes))
    info = store.put_file(DATA, "reference/month.csv", file, told.append)
    assert (info.key, info.size_bytes) == ("reference/month.csv", size_bytes)
    assert store.stat(DATA, info.key) == info
    assert store.sha256(DATA, info.key) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert max(told, default=0) == size_bytes
    with store.local_path(DATA, info.key) as copy:
        assert (copy.name, copy.read_bytes()) == ("month.csv", file.read_bytes())
    assert not copy.exists()


def test_bytes_keys_and_folders(store: MinioStore) -> None:
    for key in ("b/date=2/x.json", "b/date=1/y.json", "a", "b/date=1/z.json"):
        store.put_bytes(DATA, key, key.encode())
    assert store.get_bytes(DATA, "b/date=1/y.json") == b"b/date=1/y.json"
    assert [one.key for one in store.list(DATA)] == ["a", "b/date=1/y.json", "b/date=1/z.json", "b/date=2/x.json"]
    assert [one.key for one in store.list(DATA, "b/date=1/")] == ["b/date=1/y.json", "b/date=1/z.json"]
    assert list(store.folders(DATA, "b/date=")) == ["b/date=1/", "b/date=2/"]
    assert next(store.list(DATA, "b")) == store.stat(DATA, "b/date=1/y.json")
    store.delete(DATA, "a")
    store.delete(DATA, "a")
    assert store.stat(DATA, "a") is None
    assert store.location(DATA, "a") == "s3://taxi-data/a"


def test_an_object_of_another_tool_is_read_for_its_checksum(
    store: MinioStore, endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    Minio(endpoint, *KEYS, secure=False).put_object(DATA, "a", io.BytesIO(b"abc"), 3)
    assert store.sha256(DATA, "a") == hashlib.sha256(b"abc").hexdigest()
    assert "s3://taxi-data/a" in caplog.text


def test_what_is_there_is_not_put_again(store: MinioStore, tmp_path: Path) -> None:
    file, told = tmp_path / "a.csv", list[tuple[str, int, int]]()
    file.write_bytes(b"1234")

    def tell(name: str, done: int, whole: int) -> None:
        told.append((name, done, whole))

    assert put_file(store, DATA, "a.csv", file, tell).sent
    assert told[-1] == ("a.csv", 4, 4)
    assert not put_file(store, DATA, "a.csv", file, tell).sent
    file.write_bytes(b"1235")
    assert put_file(store, DATA, "a.csv", file, tell).sent
    assert store.get_bytes(DATA, "a.csv") == b"1235"


def wide_table(folder: Path, n_columns: int = 30, n_rows: int = 60_000) -> Path:
    rng = np.random.default_rng(0)
    columns = {f"c{index}": rng.random(n_rows) for index in range(n_columns)}
    place = {"pickup_longitude": np.full(n_rows, -73.98), "pickup_latitude": rng.uniform(40.7, 40.8, n_rows)}
    file = folder / "yellow_wide_2016-01.parquet"
    pq.write_table(pa.table({**columns, **place}), file, row_group_size=20_000)
    return file


def test_two_columns_are_read_without_the_rest(
    store: MinioStore, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = wide_table(tmp_path)
    store.put_file(DATA, file.name, file)
    use(monkeypatch, endpoint)
    read = list[int]()
    read_range = MinioStore.read_range

    def counted(self: MinioStore, found: ObjectInfo, offset: int, length: int) -> bytes:
        read.append(length)
        return read_range(self, found, offset, length)

    monkeypatch.setattr(MinioStore, "read_range", counted)
    monkeypatch.setattr(MinioStore, "local_path", lambda *_: pytest.fail("the file was brought here"))
    with open_run("a test", None, experiment_spec(file.name, "grid", max_samples=100), judges=False) as run:
        points = tasks.prepare.fn(run, tasks.ingest.fn(run))
    assert points.n_rows == 60_000
    assert sum(read) < 0.15 * file.stat().st_size


def test_an_object_that_is_replaced_while_it_is_read_is_named(store: MinioStore) -> None:
    store.put_bytes(DATA, "a.parquet", bytes(200_000))
    content = store.remote(DATA, "a.parquet")
    assert content.read(0, 10) == bytes(10)
    store.put_bytes(DATA, "a.parquet", bytes(300_000))
    with pytest.raises(StoreError, match=r"reading taxi-data/a\.parquet .*replaced while it was read"):
        content.read(0, 10)


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Set what a person exports."""
    for name, value in (("ENDPOINT", endpoint), ("ACCESS_KEY", KEYS[0]), ("SECRET_KEY", KEYS[1]), ("SECURE", "false")):
        monkeypatch.setenv(f"MINIO_{name}", value)


def evaluated(month: str) -> tuple[ExperimentRecord, list[int]]:
    """The record of a run of the plain steps, as it is read back, and the labels."""
    spec = experiment_spec(month, "grid", eps=0.1, min_samples=20)
    with open_run("evaluation_pipeline", None, spec, judges=True) as run:
        source = tasks.ingest.fn(run)
        points = tasks.prepare.fn(run, source)
        clustering = tasks.cluster.fn(run, points)
        result = tasks.record.fn(run, source, points, clustering, tasks.evaluate.fn(run, points, clustering))
        kept = run.store.get_bytes(run.settings.experiments_bucket, result.record.key)
    return ExperimentRecord.model_validate_json(kept), clustering.labels.tolist()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_run_is_the_same_from_a_directory_and_from_minio(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file = tmp_path / f"yellow_tripdata_2016-01{suffix}"
    month(file)
    found = []
    for place in ("a directory", "MinIO"):
        if place == "MinIO":
            use(monkeypatch, endpoint)
        open_store(load_settings()).put_file(DATA, file.name, file)
        found.append(evaluated(file.name))
    (here, labels), (there, same_labels) = found
    assert labels == same_labels
    for name in ("spec", "settings", "source", "points", "clustering", "quality"):
        assert getattr(here, name) == getattr(there, name)


def month(file: Path) -> None:
    table = file.with_name("month.parquet")
    write_synthetic_month(table, rows=3000, seed=1)
    if file.suffix == ".parquet":
        table.rename(file)
    else:
        pq.read_table(table).to_pandas().to_csv(file, index=False)


@pytest.mark.usefixtures("_at_once")
def test_a_busy_store_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    with refusing((503, "SlowDown"), (503, "SlowDown"), (404, "NoSuchKey")) as server:
        assert at(server.endpoint, retries=3).stat(DATA, "a") is None
    assert len(server.requests) == 3
    assert caplog.text.count("HTTP 503") == 2


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((403, "SignatureDoesNotMatch"), StoreAccessError, r"keys are wrong.*MINIO_ACCESS_KEY and MINIO_SECRET_KEY"),
        ((403, "AccessDenied"), StoreAccessError, r"refused \(AccessDenied\).*what their user may do"),
        ((404, "NoSuchBucket"), StoreError, r"no bucket taxi-data"),
        ((507, "XMinioStorageFull"), StoreError, r"store is full"),
        ((412, "PreconditionFailed"), StoreError, r"replaced while it was read"),
        ((400, "Strange"), StoreError, r"failed \(Strange\): no"),
    ],
)
def test_a_refusal_is_told_in_words(answer: tuple[int, str], error: type[StoreError], message: str) -> None:
    with refusing(answer) as server, pytest.raises(error, match=message) as caught:
        at(server.endpoint).put_bytes(DATA, "a", b"x")
    assert f"writing taxi-data/a of MinIO at {server.endpoint}" in str(caught.value)
    assert len(server.requests) == 1, "what is not transient is not tried again"


@pytest.mark.usefixtures("_at_once")
def test_a_store_that_is_away_is_named() -> None:
    with pytest.raises(StoreError, match=r"listing taxi-data of MinIO at 127\.0\.0\.1:9 failed: there is no answer"):
        list(at("127.0.0.1:9").list(DATA))


def failing_look_ups(monkeypatch: pytest.MonkeyPatch, code: int, number: int) -> list[str]:
    """Let so many look-ups of names fail, whichever name it is; gives the names that were looked up."""
    look_up, asked = socket.getaddrinfo, list[str]()

    def flaky(host: str, *args: object, **options: object) -> object:
        asked.append(host)
        if len(asked) <= number:
            raise socket.gaierror(code, "no answer")
        return look_up(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    return asked


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME])
@pytest.mark.usefixtures("_at_once")
def test_a_name_that_can_t_be_looked_up_for_a_moment_is_asked_for_again(
    code: int, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing_look_ups(monkeypatch, code, 3)
    assert at(endpoint, retries=minio_store.RETRIES).stat(DATA, "nothing") is None
    assert len(asked) > 3


@pytest.mark.parametrize(("code", "tries"), [(socket.EAI_AGAIN, minio_store.RETRIES + 1), (socket.EAI_NONAME, 5)])
@pytest.mark.usefixtures("_at_once")
def test_a_name_that_is_not_there_is_given_up_earlier_than_a_silent_dns(
    code: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing_look_ups(monkeypatch, code, 1000)
    with pytest.raises(StoreError, match=r"there is no answer \(NameResolutionError.*MINIO_ENDPOINT"):
        at("minio.example:9000", retries=minio_store.RETRIES).stat(DATA, "a")
    assert asked == ["minio.example"] * tries


def test_an_object_that_is_not_there(store: ObjectStore) -> None:
    with pytest.raises(StoreError, match=r"no object 'a' in bucket 'taxi-data' of MinIO at"):
        store.get_bytes(DATA, "a")
    with pytest.raises(StoreError, match=r"no object 'a'"):
        store.remote(DATA, "a")
    with pytest.raises(StoreError, match=r"no bucket no-such-bucket"):
        list(store.list("no-such-bucket"))
    with pytest.raises(StoreError, match=r"a part of it begins with a dot"):
        store.stat(DATA, "../a")


def test_keys_and_endpoint_are_checked_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_ENDPOINT", "minio:9000")
    with pytest.raises(SettingsError, match=r"MINIO_ACCESS_KEY and MINIO_SECRET_KEY is not set"):
        open_store(load_settings())
    use(monkeypatch, "http://minio:9000")
    with pytest.raises(SettingsError, match=r"host:port without http"):
        open_store(load_settings())
    use(monkeypatch, "minio:9000")
    assert open_store(load_settings()).describe() == "MinIO at minio:9000"
