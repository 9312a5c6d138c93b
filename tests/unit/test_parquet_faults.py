"""Faulty parquet: whatever a footer or a page says, the outcome is a result or an error of that file."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.core.errors import SourceError
from flows.core.settings import Settings
from flows.model.points import SourceFile
from flows.model.spec import ExperimentSpec
from flows.readers.range_file import RangeFile
from flows.readers.read_parquet import MAX_ROWS
from flows.steps.ingest import open_source

N_ROWS = 60
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.test_parquet_faults import outcome
for path in sorted(Path(sys.argv[2]).glob("*.parquet")):
    print(path.name, outcome(path, hours="7-10"), flush=True)
"""


class Remote:
    """An object of a remote store, by the protocol of flows.model.records.RemoteContent."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size_bytes(self) -> int:
        return len(self._content)

    def read(self, offset: int, length: int) -> bytes:
        if not (0 <= offset < len(self._content) and 0 < length <= len(self._content) - offset):
            raise AssertionError(f"asked for {length} bytes at {offset}: the store refuses such a range")
        return self._content[offset : offset + length]

    def sha256(self) -> str:
        return ""


def outcome(path: Path, hours: str | None = None, remote: bool = False) -> str:
    """Rows that are read, or the name of our error."""
    file = SourceFile(path.name, path, path.stat().st_size, Remote(path.read_bytes()) if remote else None)
    try:
        source = open_source([file], ExperimentSpec(data_source=("x",), hours=hours), Settings())
        return str(sum(batch.n_rows for batch in source.batches()))
    except (SourceError, ValueError) as error:
        if path.name not in str(error):
            raise
        return type(error).__name__


def refused(path: Path, hours: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        list(
            open_source(
                [SourceFile(path.name, path, path.stat().st_size)],
                ExperimentSpec(data_source=("x",), hours=hours),
                Settings(),
            ).batches()
        )
    assert path.name in str(caught.value)
    return str(caught.value)


def whole(path: Path) -> bytes:
    """Trips with columns of most kinds."""
    times = [datetime(2016, 1, 4, hour % 24) for hour in range(N_ROWS)]
    columns = {
        "VendorID": pa.array(["CMT", "VTS"] * (N_ROWS // 2)),
        "pickup_datetime": pa.array(times, pa.timestamp("us", "UTC")),
        "tpep_pickup_datetime": pa.array(map(str, times)),
        "pickup_longitude": pa.array([-73.98] * N_ROWS),
        "pickup_latitude": pa.array([40.75] * N_ROWS, pa.float32()),
        "PULocationID": pa.array(range(N_ROWS), pa.int64()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=25)
    return path.read_bytes()


def flipped(content: bytes, rng: random.Random) -> bytes:
    """With a few bytes changed, most of them in the footer."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    mutated = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        mutated[rng.randrange(footer if rng.random() < 0.7 else 4, len(content))] = rng.randrange(256)
    return bytes(mutated)


def test_no_changed_byte_ends_the_process_or_in_a_traceback(tmp_path: Path) -> None:
    content, rng = whole(tmp_path / "whole.parquet"), random.Random(1)  # noqa: S311
    for number in range(150):
        (tmp_path / f"{number:03}.parquet").write_bytes(flipped(content, rng))
    root = str(Path(__file__).resolve().parents[2])
    child = subprocess.run(
        [sys.executable, "-c", CHILD, root, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (child.returncode, child.stderr) == (0, "")
    outcomes = dict(line.split() for line in child.stdout.splitlines())
    assert len(outcomes) == 151
    assert outcomes["whole.parquet"] == str(N_ROWS)
    assert (
        {"UnreadableFileError"}
        < set(outcomes.values())
        <= {
            str(N_ROWS),
            "UnreadableFileError",
            "RowError",
            "DialectError",
            "ParameterError",
        }
    )


def test_a_remote_file_is_asked_for_no_range_that_it_lacks(tmp_path: Path) -> None:
    content, rng = whole(tmp_path / "whole.parquet"), random.Random(2)  # noqa: S311
    path = tmp_path / "trips.parquet"
    outcomes = set()
    for _ in range(60):
        path.write_bytes(flipped(content, rng))
        outcomes.add(outcome(path, remote=True))
    assert {str(N_ROWS), "UnreadableFileError"} <= outcomes
    end = RangeFile(Remote(b"abc"))
    end.seek(5)
    assert (end.read(4), end.read()) == (b"", b"")


@pytest.mark.parametrize(
    ("name", "hours", "expected"),
    [
        ("abort", None, "60"),
        ("abort", "7-10", "60"),
        ("keyerror", None, "UnreadableFileError"),
        ("bad_utf8", None, "3"),
        ("bad_utf8", "7-10", "RowError"),
        ("time_overflow", None, "3"),
        ("time_overflow", "7-10", "RowError"),
    ],
)
def test_files_that_once_ended_in_a_traceback_or_abort(
    shared_cases: Path, name: str, hours: str | None, expected: str
) -> None:
    assert outcome(shared_cases / "robustness" / "parsers" / f"{name}.parquet", hours) == expected


def test_one_bad_text_in_a_column_of_times_is_named(tmp_path: Path) -> None:
    times = pa.array([b"2016-01-04 07:00:00"] * 1_500 + [b"\xff\xfe"]).view(pa.string())
    pq.write_table(pa.table({"pickup_datetime": times, "PULocationID": [1] * 1_501}), tmp_path / "trips.parquet")
    message = refused(tmp_path / "trips.parquet", "7-10")
    assert "row 1501, column 'pickup_datetime': found '\\\\xff\\\\xfe', expected text in UTF-8" in message


def test_a_time_zone_that_nobody_knows_is_no_trouble(tmp_path: Path) -> None:
    times = pa.array([datetime(2016, 1, 4, 12)]).cast(pa.timestamp("us", "Moon/Base"))
    pq.write_table(pa.table({"pickup_datetime": times, "PULocationID": [1]}), tmp_path / "trips.parquet")
    assert outcome(tmp_path / "trips.parquet", "7-8") == "1"


@pytest.mark.parametrize("hours", [None, "7-10"])
def test_a_long_text_of_many_rows_takes_no_memory(tmp_path: Path, hours: str | None) -> None:
    n_rows = 20_000
    long = pa.DictionaryArray.from_arrays(pa.array([0] * n_rows, pa.int32()), ["x" * 1_000_000])
    table = pa.table({"pickup_datetime": long, "PULocationID": [1] * n_rows})
    pq.write_table(table, tmp_path / "trips.parquet", compression="zstd", store_schema=False)
    if hours is None:
        assert outcome(tmp_path / "trips.parquet") == str(n_rows)
    else:
        message = refused(tmp_path / "trips.parquet", hours)
        assert "column 'pickup_datetime': found a text of 1,000,000 bytes, at most 1,024 are read" in message


def test_a_row_that_is_too_wide_is_refused_unread(tmp_path: Path) -> None:
    table = pa.table({"PULocationID": [1] * 10, "remarks": ["x" * 100_000] * 10})
    pq.write_table(table, tmp_path / "trips.parquet", compression="zstd", use_dictionary=False)
    message = refused(tmp_path / "trips.parquet")
    assert "bytes per row, at most 65,536 are read" in message


@pytest.mark.parametrize(
    ("n_rows", "words"),
    [(MAX_ROWS + 1, "at most 1,000,000,000 of one file"), (61, "found 60 rows, but the parquet footer says 61")],
)
def test_rows_that_a_footer_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_rows: int, words: str) -> None:
    whole(tmp_path / "trips.parquet")

    class Claiming(pq.ParquetFile):  # type: ignore[misc]
        @property
        def metadata(self) -> object:
            real = super().metadata

            class Metadata:
                num_rows, num_row_groups, row_group = n_rows, real.num_row_groups, real.row_group

            return Metadata()

    monkeypatch.setattr(pq, "ParquetFile", Claiming)
    assert words in refused(tmp_path / "trips.parquet")


def test_a_zone_id_beyond_64_bits_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"PULocationID": pa.array([1, 2**64 - 1], pa.uint64())}), tmp_path / "trips.parquet")
    assert "row 2, column 'PULocationID'" in refused(tmp_path / "trips.parquet")
