"""The flows of examples/: they run, and do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import basic_flow, parallel_flow, retry_flow
from flows.core.errors import SourceNotFoundError, StoreError
from flows.core.settings import load_settings
from flows.datasets.synthetic import put_synthetic_month, write_synthetic_month
from flows.store import LocalStore, ObjectInfo, open_store

MONTH = "synthetic_yellow_tripdata_2016-01.parquet"


@pytest.fixture
def _month() -> None:
    settings = load_settings()
    assert put_synthetic_month(settings, open_store(settings), 2000, seed=0, month="2016-01") == MONTH


class Away:
    """A store that is away for the first writes of scores."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls, self.put_bytes = failures, 0, LocalStore.put_bytes

    def __call__(self, store: LocalStore, bucket: str, key: str, content: bytes) -> ObjectInfo:
        if key.startswith("scores/"):
            self.calls += 1
            if self.calls <= self.failures:
                raise StoreError("the store does not answer")
        return self.put_bytes(store, bucket, key, content)


@pytest.mark.usefixtures("_month")
def test_every_row_is_counted_once() -> None:
    places = basic_flow.count_places(MONTH)
    assert places.rows == 2000 == places.used + sum(places.dropped.values())
    assert 0 < places.distinct <= places.used


@pytest.mark.parametrize(("failures", "calls"), [(2, 3), (9, 4)])
def test_a_store_that_is_away_is_asked_again(failures: int, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(failures)
    monkeypatch.setattr(LocalStore, "put_bytes", lambda *args: away(*args))
    keep = retry_flow.keep.with_options(retry_delay_seconds=0)
    if failures < calls:
        assert keep("scores/a.csv", "a,1,0.5\n") == "scores/a.csv"
        settings = load_settings()
        assert open_store(settings).get_bytes(settings.experiments_bucket, "scores/a.csv") == b"a,1,0.5\n"
    else:
        with pytest.raises(StoreError, match="does not answer"):
            keep("scores/a.csv", "a,1,0.5\n")
    assert away.calls == calls


def test_what_no_retry_mends_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(_store: LocalStore, _bucket: str, key: str, _content: bytes) -> ObjectInfo:
        calls.append(key)
        raise ValueError(key)

    monkeypatch.setattr(LocalStore, "put_bytes", refuse)
    with pytest.raises(ValueError, match="scores"):
        retry_flow.keep("scores/a.csv", "a")
    assert len(calls) == 1
    with pytest.raises(SourceNotFoundError):
        retry_flow.keep_score("no_such_month.parquet")


@pytest.mark.usefixtures("_month")
def test_a_score_is_kept() -> None:
    key = retry_flow.keep_score(MONTH, min_samples=5)
    settings = load_settings()
    source, clusters, score = (
        open_store(settings).get_bytes(settings.experiments_bucket, key).decode().rstrip("\n").split(",")
    )
    assert source == MONTH
    assert int(clusters) > 0
    assert 0 < float(score) < 1


def test_copies_are_found(tmp_path: Path) -> None:
    settings = load_settings()
    store = open_store(settings)
    for seed, name in ((0, "yellow_a.parquet"), (1, "yellow_b.parquet"), (0, "yellow_c.parquet")):
        write_synthetic_month(tmp_path / name, rows=50, seed=seed)
        store.put_file(settings.data_bucket, name, tmp_path / name)
    assert parallel_flow.find_copies("yellow_*.parquet") == [["yellow_a.parquet", "yellow_c.parquet"]]
    assert parallel_flow.find_copies("yellow_b.parquet") == []
