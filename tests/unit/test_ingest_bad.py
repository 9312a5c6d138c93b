"""Bad input: each is refused with the file, the place, what was found, what was expected and what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.core.errors import (
    DialectError,
    ParameterError,
    RowError,
    SourceError,
    SourceNotFoundError,
    UnreadableFileError,
)
from flows.core.settings import Settings
from flows.model.points import SourceFile
from flows.model.spec import CoordinateType, ExperimentSpec
from flows.steps.ingest import open_source

HEADER = "vendor_id,pickup_datetime,pickup_longitude,pickup_latitude"
ROW = "1,2016-01-01 00:00:00,-73.98,40.75"
SURPLUS_HEADER = (
    "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,RatecodeID,store_and_fwd_flag,"
    "PULocationID,DOLocationID"
)
SURPLUS_ROW = "1,2016-07-10 06:56:05,2016-07-10 06:59:53,1,.50,1,N,263,236"


def read(
    *paths: Path,
    coordinate_type: CoordinateType = "pickup",
    hours: str | None = None,
    use_location_ids: bool = True,
    skip_truncated: bool = False,
) -> int:
    """Rows that are delivered."""
    spec = ExperimentSpec(
        data_source=tuple(map(str, paths)),
        coordinate_type=coordinate_type,
        hours=hours,
        use_location_ids=use_location_ids,
    )
    files = [SourceFile(path.name, path, path.stat().st_size if path.exists() else 0) for path in paths]
    source = open_source(files, spec, Settings(skip_truncated=skip_truncated))
    return sum(batch.n_rows for batch in source.batches())


def refused(error: type[SourceError], *paths: Path, words: tuple[str, ...] = (), **options: str | bool) -> str:
    with pytest.raises(error) as caught:
        read(*paths, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    for word in (paths[0].name, *words):
        assert word in message
    return message


def written(tmp_path: Path, text: str, name: str = "trips.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def lines(*rows: str) -> str:
    return "\n".join((HEADER, *rows)) + "\n"


CSV = pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz"])
MANY = 9_000  # rows that reach beyond what is looked at first


@pytest.mark.parametrize(
    ("month", "words"),
    [(m, ("line 2, column 'rate_code_id'", "'-73.9", "expected a whole number")) for m in ("01", "02", "03")]
    + [(m, ("line 2, column 'vendor_id'", "'2016-", "expected a vendor, not a time")) for m in ("07", "08", "09")],
)
def test_misaligned_files_are_refused(shared_data: Path, month: str, words: tuple[str, ...]) -> None:
    name = f"yellow_trip_data_sample_2016-{month}.great-expectations.csv.gz"
    refused(RowError, shared_data / "messy" / "gx_misaligned" / name, words=(*words, "Get the file again"))


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("pickup_datetime", "1", "a time such as"),
        ("PULocationID", "-73.95", "a taxi zone id"),
        ("PULocationID", "N", "a taxi zone id"),
        ("store_and_fwd_flag", "186", "one letter or digit"),
        ("vendor_id", "2016-07-12 08:35:30", "a vendor"),
        ("trip_distance", "N", "a number"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_each_known_column_is_looked_at(tmp_path: Path, column: str, cell: str, expected: str, suffix: str) -> None:
    table = pa.table({"PULocationID": ["7"] * 3} | {column: [cell] * 3})
    path = tmp_path / f"trips{suffix}"
    pq.write_table(table, path) if suffix == ".parquet" else table.to_pandas().to_csv(path, index=False)
    place = "row 1" if suffix == ".parquet" else "line 2"
    refused(RowError, path, words=(f"{place}, column {column!r}", repr(cell), f"expected {expected}"))


def test_seaborns_zone_names_are_no_positions(shared_data: Path) -> None:
    path = shared_data / "zone_trips" / "taxis_2019-03_zone_names.seaborn-data.parquet"
    refused(DialectError, path, words=("no coordinates and no zone ids", "'pickup_zone'", "pickup_longitude"))


def test_no_rows(shared_data: Path, tmp_path: Path) -> None:
    refused(UnreadableFileError, shared_data / "messy" / "empty_zero_rows_2018.rockthejvm.parquet", words=("no rows",))
    for text in (HEADER, HEADER + "\n", HEADER + "\n\r\n\r\n", "\n\n"):
        for name in ("trips.csv", "trips.csv.gz"):
            refused(UnreadableFileError, written(tmp_path, text, name), words=("no rows",))


@pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz", "trips.parquet"])
def test_zero_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    refused(UnreadableFileError, tmp_path / name, words=("0 bytes",))


def test_a_missing_file_a_directory_and_another_suffix(tmp_path: Path) -> None:
    refused(SourceNotFoundError, tmp_path / "none.parquet", words=("no such file",))
    (tmp_path / "part.parquet").mkdir()
    refused(UnreadableFileError, tmp_path / "part.parquet", words=("directory", "expected a file", "glob"))
    refused(UnreadableFileError, written(tmp_path, lines(ROW), "trips.xlsx"), words=(".parquet, .csv, .csv.gz",))


def test_a_name_that_does_not_fit_the_bytes(tmp_path: Path, shared_data: Path) -> None:
    parquet = (shared_data / "coords" / "yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet").read_bytes()
    (tmp_path / "a.csv").write_bytes(parquet)
    (tmp_path / "b.csv").write_bytes(gzip.compress(lines(ROW).encode()))
    refused(UnreadableFileError, tmp_path / "a.csv", words=("found parquet, expected CSV",))
    refused(UnreadableFileError, tmp_path / "b.csv", words=("found gzip, expected CSV",))
    for name in ("c.parquet", "c.csv.gz"):
        (tmp_path / name).write_text(lines(ROW))
        refused(UnreadableFileError, tmp_path / name)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.999])
def test_cut_off_parquet_and_gzip(tmp_path: Path, shared_data: Path, part: float) -> None:
    whole = (shared_data / "coords" / "yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: int(len(whole) * part)])
    refused(UnreadableFileError, tmp_path / "a.parquet", words=("expected a whole parquet file", "get it again"))
    packed = gzip.compress(lines(*[f"{i},{ROW[2:]}" for i in range(MANY)]).encode())
    (tmp_path / "b.csv.gz").write_bytes(packed[: int(len(packed) * part)])
    refused(UnreadableFileError, tmp_path / "b.csv.gz", words=("gzip", "Get the file again"))


def test_corrupt_parquet_pages_and_gzip_bytes(tmp_path: Path, shared_data: Path) -> None:
    whole = bytearray((shared_data / "coords" / "yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet").read_bytes())
    whole[100 : len(whole) // 2] = bytes(len(whole) // 2 - 100)
    (tmp_path / "a.parquet").write_bytes(whole)
    refused(UnreadableFileError, tmp_path / "a.parquet")
    packed = bytearray(gzip.compress(lines(*[f"{i},{ROW[2:]}" for i in range(MANY)]).encode()))
    packed[len(packed) // 2 :][:64] = bytes(64)
    packed[-8:-4] = bytes(4)  # the checksum
    (tmp_path / "b.csv.gz").write_bytes(packed)
    refused(UnreadableFileError, tmp_path / "b.csv.gz")


@CSV
@pytest.mark.parametrize("n_rows", [3, MANY])
@pytest.mark.parametrize("tail", ["1,2016-01-01 00", '1,2016-01-01 00:00:00,-73.9,"40', "1"])
def test_a_cut_off_last_line(tmp_path: Path, name: str, n_rows: int, tail: str) -> None:
    path = written(tmp_path, lines(*[ROW] * n_rows) + tail, name)
    refused(RowError, path, words=(f"line {n_rows + 2}", "cut off", "expected 4", "--skip-truncated"))
    assert read(path, skip_truncated=True) == n_rows


@CSV
@pytest.mark.parametrize("n_rows", [1, MANY])
def test_a_whole_last_line_needs_no_line_end(tmp_path: Path, name: str, n_rows: int) -> None:
    assert read(written(tmp_path, lines(*[ROW] * n_rows).rstrip("\n"), name)) == n_rows


def test_a_cut_off_line_alone_is_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "\n1,2016")
    refused(RowError, path, words=("cut off",))
    refused(UnreadableFileError, path, skip_truncated=True, words=("no rows",))


def test_heads_of_tlc_are_cut_off(shared_data: Path) -> None:
    for path in sorted((shared_data / "messy" / "tlc_heads").glob("*.csv")):
        if not path.read_bytes().endswith(b"\n"):
            refused(RowError, path, words=("cut off", "--skip-truncated"))


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n\r\n{ROW}\r\n",  # a blank line below the header
        f"{HEADER}\n\n\r\n{ROW}\r\n\r\n",
        f"\r\n{HEADER}\n{ROW}\n",
        '"' + HEADER.replace(",", '","') + f'"\n{ROW}\n',
        HEADER.replace(",", ", ") + " \r\n" + ROW + "\n",
        HEADER + "\n" + ROW.replace(",", '","').join('""') + "\n",
        HEADER.replace("vendor_id", "") + f"\n{ROW}\n",
        "\ufeff" + HEADER.upper() + f"\n{ROW}\n",
        HEADER + "\n" + ROW.replace(",", " , ") + "\n",
    ],
    ids=[
        "blank",
        "blanks",
        "blank first",
        "quoted",
        "blanks in names",
        "quoted cells",
        "no name",
        "BOM",
        "blanks in cells",
    ],
)
def test_oddities_that_do_no_harm(tmp_path: Path, text: str) -> None:
    assert read(written(tmp_path, text), hours="0-24") == 1


@CSV
def test_empty_surplus_fields_of_known_months_are_recovered(tmp_path: Path, name: str) -> None:
    rows = (f"{SURPLUS_ROW},,\r\n") * MANY
    assert read(written(tmp_path, f"{SURPLUS_HEADER}\r\n{rows}", name), coordinate_type="both") == MANY


@pytest.mark.parametrize("bad_line", [3, MANY])
@pytest.mark.parametrize(
    ("row", "words"),
    [
        (SURPLUS_ROW + ",,5", ("found 11 fields", "'5'", "expected 9")),
        (SURPLUS_ROW + ",,,", ("found 12 fields", "expected 11")),
        (SURPLUS_ROW, ("found 9 fields", "expected 11")),
    ],
)
def test_other_surplus_fields_are_refused(tmp_path: Path, bad_line: int, row: str, words: tuple[str, ...]) -> None:
    rows = [SURPLUS_ROW + ",,"] * MANY
    rows[bad_line - 2] = row
    path = written(tmp_path, "\n".join([SURPLUS_HEADER, *rows, ""]))
    refused(RowError, path, words=(f"line {bad_line}", *words))


@pytest.mark.parametrize(("row", "found"), [(ROW + ",", 5), (ROW[:20], 2)])
def test_rows_of_another_length_than_the_header(tmp_path: Path, row: str, found: int) -> None:
    refused(RowError, written(tmp_path, lines(row, row)), words=("line 2", f"found {found} fields", "expected 4"))


@CSV
@pytest.mark.parametrize("bad_row", [1, MANY - 5])
@pytest.mark.parametrize(
    ("row", "column", "found", "hours"),
    [
        ("1,2016-01-01 00:00:00,-73.98,abc", "pickup_latitude", "'abc', expected a number", None),
        ("1,noon,-73.98,40.75", "pickup_datetime", "'noon', expected a time such as", "7-10"),
        ("1,2016-01-01,-73.98,40.75", "pickup_datetime", "'2016-01-01', expected a time", "7-10"),
    ],
)
def test_text_where_numbers_and_times_belong(
    tmp_path: Path, name: str, bad_row: int, row: str, column: str, found: str, hours: str | None
) -> None:
    rows = [ROW] * MANY
    rows[bad_row] = row
    path = written(tmp_path, f"{HEADER}\n\r\n" + "\n".join(rows) + "\n", name)
    words = (f"line {bad_row + 3}, column {column!r}", f"found {found}", "Mend or remove")
    with pytest.raises(RowError) as caught:
        read(path, hours=hours)
    assert all(word in str(caught.value) for word in (name, *words))


@pytest.mark.parametrize(("bad", "found"), [("x", "'x'"), ("7.5", "'7.5'"), ("-3", "'-3'")])
def test_text_where_zone_ids_belong_in_parquet(tmp_path: Path, bad: str, found: str) -> None:
    pq.write_table(pa.table({"PULocationID": ["7"] * 2_000 + [bad, "8"]}), tmp_path / "trips.parquet")
    words = ("row 2001, column 'PULocationID'", f"found {found}", "expected a taxi zone id")
    refused(RowError, tmp_path / "trips.parquet", words=words)


def test_a_column_of_another_type(tmp_path: Path) -> None:
    table = pa.table({"pickup_longitude": [True, None], "pickup_latitude": [40.7, 40.7]})
    pq.write_table(table, tmp_path / "trips.parquet")
    refused(RowError, tmp_path / "trips.parquet", words=("'pickup_longitude'", "'True'", "expected a number"))


@pytest.mark.parametrize("end", ["pickup", "dropoff"])
def test_swapped_coordinates(tmp_path: Path, end: str) -> None:
    rows = ["0,0", "40.75,-73.98", "40.7,-73.9", ","]
    path = written(tmp_path, "\n".join([f"{end}_longitude,{end}_latitude", *rows]) + "\n")
    refused(
        RowError, path, words=("swapped", "line 3", "40.75", f"'{end}_longitude'", "expected about -74", "Exchange")
    )


def test_a_file_without_header_says_so(tmp_path: Path) -> None:
    refused(DialectError, written(tmp_path, f"{ROW}\n{ROW}\n"), words=("is the header missing?", "'-73.98'"))


def test_half_a_pair_of_coordinates_is_none(tmp_path: Path) -> None:
    refused(DialectError, written(tmp_path, "pickup_longitude,fare\n-73.9,5\n"), words=("no coordinates",))


def test_other_text_and_binary(tmp_path: Path) -> None:
    refused(DialectError, written(tmp_path, "<html><body>Access denied</body>\n</html>\n"), words=("<html>",))
    refused(UnreadableFileError, written(tmp_path, "a\0b,c\n1,2\n"), words=("binary",))


def test_files_of_different_kinds_are_listed(shared_data: Path) -> None:
    paths = (
        shared_data / "coords" / "yellow_tripdata_2015-01_head2k.bhuvankumar007.csv",
        shared_data / "zone_trips" / "yellow_tripdata_2018-11-01_10k.deephaven-examples.parquet",
    )
    words = ("different kinds", f"{paths[0].name}: coordinates", f"{paths[1].name}: zones", "apart")
    refused(DialectError, *paths, words=words)


def test_zones_where_location_ids_are_not_allowed(shared_data: Path) -> None:
    path = shared_data / "zone_trips" / "yellow_tripdata_2025-01_rows1-500.msmrnv1.csv"
    refused(DialectError, path, use_location_ids=False, words=("zone ids", "use_location_ids is false", "2016-06"))


@pytest.mark.parametrize("coordinate_type", ["dropoff", "both"])
@pytest.mark.parametrize("month", ["2015-01", "2016-11"])
def test_fhv_of_2015_and_2016_has_pick_ups_alone(shared_data: Path, coordinate_type: str, month: str) -> None:
    path = shared_data / "messy" / "tlc_heads" / f"fhv_tripdata_{month}.csv"
    words = (repr(coordinate_type), "no dropoff zones", "pickup zones alone", "use coordinate_type 'pickup'")
    refused(DialectError, path, coordinate_type=coordinate_type, skip_truncated=True, words=words)


def test_hours_need_times(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "coords" / "taxifare_2009-2015_no_time_60k.gcp-tda.parquet"
    empty = written(tmp_path, f"{HEADER}\n1,,-73.9,40.7\n")
    for file in (path, empty):
        with pytest.raises(ParameterError, match="hours and weekdays need pick-up times, found none"):
            read(file, hours="7-10")


def test_all_files_are_checked_before_the_first_is_read(tmp_path: Path) -> None:
    good, bad = written(tmp_path, lines(ROW), "a.csv"), written(tmp_path, lines(ROW) + "1,2", "b.csv")
    spec = ExperimentSpec(data_source=("a", "b"))
    files = [SourceFile(path.name, path, path.stat().st_size) for path in (good, bad)]
    with pytest.raises(RowError, match=r"b\.csv, line 3"):
        open_source(files, spec, Settings())
