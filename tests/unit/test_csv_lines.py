"""Lines and cells of CSV text: the same at every row and by every block size, or refused with the line."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.core.errors import DialectError, RowError, SourceError, UnreadableFileError
from flows.model.points import SourceFile
from flows.readers.csv_lines import MAX_LINE_BYTES, to_block
from flows.readers.read_csv import CsvTable
from flows.readers.table import SAMPLE_ROWS, ChunkSize

NAMES = "vendor_id,pickup_longitude,pickup_latitude"
ROW = "1,-73.98,40.75"
BEYOND = SAMPLE_ROWS + 2_000  # a row that is not in the sample, nor in the first block of BLOCK_BYTES
BLOCK_BYTES = 1 << 14
MISSING = {"", "NULL", "null", "NaN", "nan", "NA", "N/A", "None", "\\N"}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes, name: str = "trips.csv") -> Path:
        data = text if isinstance(text, bytes) else text.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def opened(path: Path, skip_bad_rows: int = 0, skip_truncated: bool = False) -> CsvTable:
    return CsvTable(SourceFile(path.name, path, path.stat().st_size), skip_truncated, skip_bad_rows)


def cells_of(table: CsvTable, csv_bytes: int = 1 << 20) -> tuple[list[list[str]], list[int], list[str]]:
    """Rows as text, '' where missing; numbers of skipped lines; names of the first and last row of each chunk."""
    rows: list[list[str]] = []
    bad_lines: list[int] = []
    places: list[str] = []
    for chunk in table.chunks(dict.fromkeys(range(len(table.names)), "time"), ChunkSize(csv_bytes=csv_bytes)):
        columns = [chunk.columns[column].to_pylist() for column in range(len(table.names))]
        rows += [
            ["" if cell is None or cell in MISSING else cell for cell in row] for row in zip(*columns, strict=True)
        ]
        bad_lines += chunk.bad_lines
        places += [chunk.place(index) for index in (0, chunk.n_rows - 1) if chunk.n_rows]
    return rows, bad_lines, places


@pytest.mark.parametrize("row", [2, BEYOND])
@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ('"1,-73.98,40.75', "a quote that opens a cell and is not closed in this line"),
        ('1,"-73.98,40.75', "a quote that opens a cell"),
        ('a"b,"-73.98,40.75', "a quote that opens a cell"),  # an even number of quotes
        ('"a\nb",-73.98,40.75', "a quote that opens a cell"),
        ("1,-73.98\r,40.75", "a line end of another kind"),
        ("1,-73\0.98,40.75", "a NUL byte"),
        ("1,-73.98,40.75,5,6", "5 fields, expected 3"),
        ("1;-73.98;40.75", "this line is separated by semicolons"),
        ("1,-73,98,40,75", "decimal commas cut numbers in two: '-73,98'"),
        (
            "a" * MAX_LINE_BYTES + "," + ROW,
            f"131,087 bytes without a line end; a line may have {MAX_LINE_BYTES:,} bytes",
        ),
    ],
)
@pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz"])
def test_a_bad_row_is_refused_with_its_line(
    written: Callable[..., Path], row: int, bad: str, found: str, name: str
) -> None:
    rows = [ROW] * (BEYOND + 100)
    rows[row] = bad
    with pytest.raises(RowError) as caught:
        cells_of(opened(written("\n".join([NAMES, *rows, ""]), name)), BLOCK_BYTES)
    assert all(word in str(caught.value) for word in (name, f"line {row + 2}", found, "Mend or remove the line"))


@pytest.mark.parametrize("csv_bytes", [1, 1000, 1 << 20])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r\r\n", "\r"])
@pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz"])
def test_every_line_end_gives_the_same_rows(
    written: Callable[..., Path], csv_bytes: int, line_end: str, name: str
) -> None:
    lines = [NAMES, "", *(f'{i},"-73.{i}",40' for i in range(1_100)), '"x, ""y""",1,2', ""]
    rows, _, places = cells_of(opened(written(line_end.join(lines), name)), csv_bytes)
    assert rows == [*([str(i), f"-73.{i}", "40"] for i in range(1_100)), ['x, "y"', "1", "2"]]
    assert places[:1] + places[-1:] == ["line 3", "line 1103"]


@pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz"])
def test_bad_rows_are_left_out_as_many_as_allowed(written: Callable[..., Path], name: str) -> None:
    rows = [f"{i},-73.98,40.75" for i in range(BEYOND + 100)]
    bad = {5: '"', 800: ROW + ",7", BEYOND: "1", BEYOND + 50: '1,"2,3'}
    for place, text in bad.items():
        rows[place] = text
    path = written("\n".join([NAMES, *rows, ""]), name)
    found, bad_lines, places = cells_of(opened(path, skip_bad_rows=4), BLOCK_BYTES)
    assert [row[0] for row in found] == [str(i) for i in range(BEYOND + 100) if i not in bad]
    assert bad_lines == [place + 2 for place in bad]
    assert places[-1] == f"line {BEYOND + 101}"
    for allowed, place in enumerate(bad):
        with pytest.raises(RowError, match=rf"line {place + 2}\b.*--skip-bad-rows"):
            cells_of(opened(path, skip_bad_rows=allowed))


def test_where_most_rows_are_bad_none_is_left_out(written: Callable[..., Path]) -> None:
    path = written("\n".join([NAMES, *[ROW + ",1,2"] * 30, ROW, ""]))
    with pytest.raises(RowError, match=r"line 2: found 5 fields, expected 3 .*30 of the first 31 rows") as caught:
        opened(path, skip_bad_rows=100)
    assert "--skip-bad-rows" not in str(caught.value)


@pytest.mark.parametrize("row", [0, BEYOND])
def test_cells_as_long_as_a_line_may_be(written: Callable[..., Path], row: int) -> None:
    rows = [ROW] * (BEYOND + 1)
    rows[row] = '"' + "é" * ((MAX_LINE_BYTES - 16) // 2) + '",-73.98,40.75'
    assert MAX_LINE_BYTES - 2 <= len(rows[row].encode()) <= MAX_LINE_BYTES
    found, _, _ = cells_of(opened(written("\n".join([NAMES, *rows, ""]))))
    assert [len(found), len(found[row][0])] == [BEYOND + 1, (MAX_LINE_BYTES - 16) // 2]


@pytest.mark.parametrize("first", ["", "\ufeff", "\ufeff\ufeff", "\ufeff\r\n", "\r\n\ufeff"])
@pytest.mark.parametrize("header", [NAMES, '"' + NAMES.replace(",", '","') + '"'])
def test_byte_order_marks_and_blank_lines_above_the_header(
    written: Callable[..., Path], first: str, header: str
) -> None:
    table = opened(written(f"{first}{header}\n{ROW}\n"))
    assert (table.names, cells_of(table)[0]) == (tuple(NAMES.split(",")), [ROW.split(",")])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_encodings_are_named(written: Callable[..., Path], encoding: str) -> None:
    with pytest.raises(UnreadableFileError, match=r"UTF-16 or UTF-32, expected UTF-8\. Save or convert it"):
        opened(written(f"{NAMES}\n{ROW}\n".encode(encoding)))


@pytest.mark.parametrize("row", [0, BEYOND])
def test_bytes_that_are_no_utf_8_harm_nothing(written: Callable[..., Path], row: int) -> None:
    rows = [ROW.encode()] * (BEYOND + 1)
    rows[row] = b"\xe9\xff,-73.98,40.75"
    table = opened(written(b"\n".join([NAMES.encode() + b",caf\xe9", *(one + b",\xe9" for one in rows), b""])))
    places = {1: "number", 2: "number"}
    chunks = list(table.chunks(places, ChunkSize()))  # type: ignore[arg-type]
    assert table.names[3] == "caf\ufffd"
    assert sum(pc.sum(chunk.columns[1]).as_py() for chunk in chunks) == pytest.approx(-73.98 * (BEYOND + 1))
    assert cells_of(table)[0][row] == ["\ufffd\ufffd", "-73.98", "40.75", "\ufffd"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f"{NAMES}\n{ROW}".replace(",", ";"),
            ("line 1", "separated by semicolons (';')", "commas between the columns."),
        ),
        (f"{NAMES}\n{ROW}".replace(",", "\t"), ("separated by tabs",)),
        (f"{NAMES}\n{ROW}".replace(",", "|"), ("separated by vertical bars",)),
        (f"{NAMES}\n{ROW}".replace(",", ";").replace(".", ","), ("semicolons", "decimal points", "'-73,98'")),
        (f"sep=,\n{NAMES}\n{ROW}", ("line 1: found 'sep=,'", "the header, which is line 2", "Remove the lines above")),
        (f"# made in 2016, by me\n\n{NAMES}\n{ROW}", ("line 1: found '# made in 2016, by me'", "line 3")),
        (f'{NAMES}\n1,"-73,98","40,75"', ("line 2, column 'pickup_longitude'", "'-73,98'", "has a decimal comma")),
        (f'"{NAMES}"\n"{ROW}"', ("line 1", "the whole line is one quoted cell")),
        (f'"{NAMES}\n{ROW}', ("line 1", "the header can't be read", "a quote that opens a cell")),
        (f"{NAMES}\r{ROW}\n{ROW}\n", ("line 2", "a line end of another kind")),
        (
            "x" * MAX_LINE_BYTES + f",{NAMES}\n{ROW}",
            ("line 1", "131,115 bytes without a line end; a line may have 131,072 bytes; expected a header"),
        ),
    ],
)
def test_what_stands_in_place_of_a_header_is_said(
    written: Callable[..., Path], text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises((DialectError, RowError)) as caught:
        opened(written(text + "\n"))
    assert all(word in str(caught.value) for word in ("trips.csv", *words))


def test_a_line_without_end_is_not_read_to_its_end(written: Callable[..., Path]) -> None:
    path = written(f"{NAMES}\n{ROW}\n" + "1," * 4_000_000, "trips.csv.gz")
    with pytest.raises(
        RowError, match=r"line 3: found at least [\d,]+ bytes without a line end; a line may have 131,072 bytes"
    ):
        opened(path)


def test_line_ends_that_change_are_said(written: Callable[..., Path]) -> None:
    path = written("\n".join([NAMES, ROW, "\r".join([ROW] * 20_000)]))
    with pytest.raises(RowError, match=r"line 3: found at least .* line ends of another kind, CR or LF"):
        opened(path)


def test_getting_a_file_again_is_advised_only_where_it_helps(written: Callable[..., Path]) -> None:
    path = written(f"{NAMES}\n{ROW}\n", "whole.csv.gz")
    for name, data, advice in (
        ("cut.csv.gz", path.read_bytes()[:-9], "Get the file again."),
        ("plain.csv.gz", gzip.decompress(path.read_bytes()), "It is not packed with gzip: pack it, or rename it"),
    ):
        (path.parent / name).write_bytes(data)
        with pytest.raises(UnreadableFileError, match=advice):
            cells_of(opened(path.parent / name))
    with pytest.raises(UnreadableFileError, match=r"the file can't be read .* Check the file, its permissions"):
        CsvTable(SourceFile("gone.csv", path.parent / "gone.csv", 5), skip_truncated=False)


def test_a_surplus_field_that_says_nothing_is_empty_at_every_row(written: Callable[..., Path]) -> None:
    header = "lpep_pickup_datetime,pickup_longitude,pickup_latitude"
    path = written("\n".join([header, *["2014-01-01 00:00:00,-73.98,40.75,NULL,"] * BEYOND, ""]))
    assert len(cells_of(opened(path))[0]) == BEYOND


def test_quoted_lines_are_left_to_arrow() -> None:
    assert to_block(b'"1","a, ""b""",""\r\n,"2",\n', 1, 3).plain
    assert not to_block(b'1,a"b\n', 1, 2).plain
    assert not to_block(b'"1,2\n3",4\n', 1, 2).plain


CELL = st.text(st.sampled_from('ab1 ,"\n\r\0\u00e9'), max_size=4)
QUOTED = CELL.map(lambda cell: '"' + cell.replace('"', '""') + '"')


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(st.one_of(CELL, QUOTED, st.just("NULL")), min_size=1, max_size=4), max_size=12),
    line_end=st.sampled_from(["\n", "\r\n", "\r\r\n", "\r"]),
    ended=st.booleans(),
    n_names=st.integers(1, 3),
    packed=st.booleans(),
)
@example(rows=[['"a', "b"], ["c", 'd"']], line_end="\n", ended=True, n_names=2, packed=False)
@example(rows=[["  "], ["a"]], line_end="\n", ended=True, n_names=1, packed=False)
def test_cells_are_those_of_pythons_csv_or_the_line_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    line_end: str,
    ended: bool,
    n_names: int,
    packed: bool,
) -> None:
    filler = [",".join(["z"] * n_names)] * 3
    body = [*filler, *map(",".join, rows)]
    text = line_end.join([",".join("xyz"[:n_names]), *body]) + line_end * ended
    path = tmp_path_factory.mktemp("cells") / ("trips.csv.gz" if packed else "trips.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    outcomes = [outcome(path, csv_bytes, small_sample) for csv_bytes in (1, 7, 1 << 20) for small_sample in (1, 1000)]
    faults = set(faulty_lines(text, line_end, n_names))
    if faults:
        assert faults.issuperset(map(str, outcomes))
    else:
        rows_wanted = [["" if cell in MISSING else cell for cell in row] for row in wanted_rows(text, line_end)]
        assert all(one == rows_wanted for one in outcomes)


def outcome(path: Path, csv_bytes: int, sample_rows: int) -> list[list[str]] | str:
    """All rows, or the line that is refused; with few rows in the sample the others are judged in the bulk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.readers.read_csv.SAMPLE_ROWS", sample_rows)
        try:
            return cells_of(opened(path), csv_bytes)[0]
        except SourceError as error:
            return str(error).split(":")[0].removeprefix(f"{path.name}, ")


def lines_of(text: str, line_end: str) -> list[str]:
    """CRs before an LF belong to the line end, and where lines end with CR, LFs before it."""
    end, other = ("\r", "\n") if line_end == "\r" else ("\n", "\r")
    return [line.rstrip(other) for line in text.split(end)]


def wanted_rows(text: str, line_end: str) -> list[list[str]]:
    """By Python's csv module, but for lines of blanks."""
    lines = [line for line in lines_of(text, line_end) if line.strip()]
    return list(csv.reader(io.StringIO("\n".join(lines), newline="")))[1:]


def faulty_lines(text: str, line_end: str, n_names: int) -> Iterator[str]:
    """Lines that one who cuts character by character does not take."""
    for number, line in enumerate(lines_of(text, line_end), start=1):
        n_fields, state = 1, "start"
        for sign in line:
            if state == "quoted":
                state = "closing" if sign == '"' else state
            elif sign == ",":
                n_fields, state = n_fields + 1, "start"
            elif sign == '"' and state in ("start", "closing"):
                state = "quoted"
            else:
                state = "plain"
        stray = any(sign in line for sign in "\0\r\n")
        if line.strip() and (state == "quoted" or stray or n_fields != n_names):
            yield f"line {number}"
