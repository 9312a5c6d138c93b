"""Names from outside are printed as they are: no markup, no control characters, in any encoding."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from flows.core.settings import load_settings
from flows.core.text import escape_what_it_can_not_write, printable, printable_lines
from flows.report.terminal import render, to_text
from flows.report.terminal_sweeps import sweep_text
from flows.store import open_store
from tests.unit.builders import CREATED, a_source, a_sweep_record, an_experiment_record

ODD = "[bold red]x[/] :car: \x1b[31mred\nline.csv"
ODD_PRINTED = r"[bold red]x[/] :car: \x1b[31mred\nline.csv"


def test_printable() -> None:
    assert printable("münchen [1] 東京.csv") == "münchen [1] 東京.csv"
    assert printable("a\x1b\x9b\r\n\t\udcfc\u2028") == r"a\x1b\x9b\r\n\t\udcfc\u2028"
    assert printable_lines("a\x07\nb") == "a\\x07\nb"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_can_be_written_to_any_stream(encoding: str) -> None:
    text = "ü 東京 \U0001f695 \udcfc"
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    escape_what_it_can_not_write(stream)
    stream.write(f'"{text}"')
    stream.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == text, "what is escaped is so as JSON has it"


def test_tables_print_names_as_they_are() -> None:
    record = an_experiment_record(source=ODD)
    sink = StringIO()
    render(record, Console(file=sink, width=300), location=ODD)
    assert sink.getvalue().count(ODD_PRINTED) == 2
    assert to_text(record, ODD).count(ODD_PRINTED) == 2
    sweep = a_sweep_record(source=ODD).model_copy(update={"source": a_source(ODD)})
    assert sweep_text(sweep, ODD).count(ODD_PRINTED) == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_commands_print_any_name_in_any_encoding(encoding: str) -> None:
    settings = load_settings()
    store = open_store(settings)
    for number, source in enumerate((ODD, "münchen 東京.csv")):
        record = an_experiment_record(source=source, number=number, created=CREATED + timedelta(days=number))
        store.put_bytes(settings.experiments_bucket, record.key, record.model_dump_json().encode())
    store.put_bytes(settings.data_bucket, "[red]münchen[/].csv", b"x")
    (settings.store_dir / settings.data_bucket / os.fsdecode(b"m\xfcnchen.csv")).touch()
    listed = printed(encoding, "records", "ls")
    assert ODD_PRINTED in listed
    assert r"\u6771\u4eac.csv" in listed
    whole = printed(encoding, "records", "ls", "--json")
    sources = [one["spec"]["data_source"] for one in json.loads(whole)]
    assert sources == [["münchen 東京.csv"], [ODD]]
    assert "\\u6771\\u4eac.csv" in printed(encoding, "records", "show", record.id)
    assert "[red]m" in printed(encoding, "data", "ls")


def printed(encoding: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flows", *args],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr.decode()
    # click writes UTF-8 where a stream's encoding is ASCII, which it takes for a mistake.
    return done.stdout.decode("utf-8" if encoding == "ascii" else encoding)
