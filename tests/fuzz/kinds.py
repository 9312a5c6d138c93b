"""What is fuzzed: for each kind how a case's input is made, and what is done with it.

Doing it returns, or raises one of our own errors; whatever else comes out is a fault.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np

from tests.fuzz import inputs
from tests.fuzz.mutate import WORDS, mutated, mutated_json

RECORD_ID = "20260131T020304Z-ab12cd34"
DAY = "date=2026-01-31"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
EXIT_CODES = {0, 1, 2}
"""Done, the work failed, bad usage."""


@dataclass(frozen=True)
class Kind:
    """make: the input of a case. run: reads it, with a folder of its own."""

    make: Callable[[Random], bytes]
    run: Callable[[bytes, Path, Random], None]


def _csv_text(random: Random) -> bytes:
    which = random.randrange(len(inputs.HEADERS))
    return mutated(inputs.csv_text(which, random.choice(("\n", "\r\n", "\r")), random.randrange(2)), random)


def _csv_gz(random: Random) -> bytes:
    if random.random() < 0.5:
        return gzip.compress(_csv_text(random), compresslevel=1, mtime=0)
    return mutated(gzip.compress(inputs.csv_text(0, "\n", 0), compresslevel=1, mtime=0), random)


def _parquet(random: Random) -> bytes:
    which = random.randrange(len(inputs.HEADERS))
    compression = random.choice(("none", "snappy", "zstd", "gzip"))
    return mutated(inputs.parquet(which, compression, random.random() < 0.5), random)


def _zones(random: Random) -> bytes:
    files = inputs.zone_files()
    if random.random() < 0.3:
        return mutated(inputs.zipped(files, random.choice(COMPRESSIONS)), random)
    name = random.choice(list(files))
    return inputs.zipped({**files, name: mutated(files[name], random)})


def _trips(suffix: str) -> Callable[[bytes, Path, Random], None]:
    def run(content: bytes, folder: Path, random: Random) -> None:
        from flows.core.settings import load_settings
        from flows.model.parameters import experiment_spec
        from flows.model.points import SourceFile
        from flows.steps.check import check_file
        from flows.steps.ingest import open_source

        path = folder / f"yellow_tripdata_2016-01{suffix}"
        path.write_bytes(content)
        file, settings = SourceFile(path.name, path, len(content)), load_settings()
        if random.random() < 0.3:
            check_file(file, settings)
            return
        hours = random.choice((None, "7-10"))
        ends = random.choice(("pickup", "pickup", "both"))
        spec = experiment_spec([str(path)], coordinate_type=ends, hours=hours, use_minio=False)
        for _ in open_source([file], spec, settings).batches():
            pass

    return run


def _read_zones(content: bytes, folder: Path, random: Random) -> None:
    from flows.datasets.zones import load_zone_table

    path = folder / "taxi_zones.zip"
    path.write_bytes(content)
    load_zone_table(path).zone_at(np.array([random.uniform(-80, 80)]), np.array([random.uniform(-80, 80)]))


def _read_records(content: bytes, folder: Path, random: Random) -> None:
    from flows.core.settings import load_settings
    from flows.records.browse import Query, browse
    from flows.records.flat import export_records
    from flows.report.terminal import to_text
    from flows.store import open_store

    settings = load_settings()
    store = open_store(settings)
    for name, stored in ((RECORD_ID, content), ("20260131T020304Z-00000001", inputs.record())):
        store.put_bytes(settings.experiments_bucket, f"experiments/{DAY}/{name}.json", stored)
    found = browse(store, settings, Query(sort=random.choice((None, "overall_score"))))
    for record in found.records:
        to_text(record)
    export_records(found.records, folder / "records.csv", "csv")
    export_records(found.records, folder / "records.parquet", "parquet")


def _state(random: Random) -> bytes:
    return mutated_json(inputs.exporter_state(), random)


def _read_state(content: bytes, folder: Path, random: Random) -> None:
    from flows.telemetry.exporter.counts import Counts
    from flows.telemetry.exporter.state import FILE_NAME, load, save

    (folder / FILE_NAME).write_bytes(content)
    state = load(folder)
    if state is not None:
        save(folder, Counts(state).state())


def _read_settings(content: bytes, folder: Path, random: Random) -> None:
    from flows.core.settings import load_settings

    words = content.decode(errors="surrogateescape").split("\0")
    with mock.patch.dict(os.environ, dict(zip(words[::2], words[1::2], strict=False))):
        load_settings()


def _settings(random: Random) -> bytes:
    chosen = random.sample(_SETTINGS, random.randint(1, 4))
    return "\0".join(word for name in chosen for word in (name, random.choice(WORDS))).encode(errors="surrogateescape")


_SETTINGS = (
    "TAXI_STORE_DIR", "TAXI_CITY_BOX__LON_MIN", "TAXI_CITY_BOX", "TAXI_ALLOW_MOSTLY_DROPPED", "TAXI_SKIP_TRUNCATED",
    "TAXI_SKIP_BAD_ROWS", "TAXI_ZONE_TABLE", "TAXI_SILHOUETTE_SAMPLE", "TAXI_SCORE__QUALITY_WEIGHT", "TAXI_SCORE",
    "TAXI_N_JOBS", "TAXI_FAN_OUT", "TAXI_CELLS__MEMORY", "TAXI_MEMORY_LIMIT_BYTES", "TAXI_EXPORTER__PORT",
    "TAXI_EXPORTER", "TAXI_SECRETS_DIR", "MINIO_SECURE", "MINIO_ENDPOINT", "PUSHGATEWAY_URL",
)  # fmt: skip

_COMMANDS = (
    ("run",), ("evaluate",), ("suggest",), ("sweep",), ("compare",), ("aggregate",), ("report",), ("records", "ls"),
    ("records", "show"), ("records", "diff"), ("records", "export"), ("data", "ls"), ("data", "check"), ("data", "put"),
)  # fmt: skip
_OPTIONS = (
    "--eps", "--min-samples", "--eps-values", "--min-samples-values", "--metric", "--adapter", "--adapters", "--hours",
    "--weekdays", "--seed", "--max-samples", "--ends", "--coordinate-type", "--no-minio", "--minio", "--labels",
    "--clusters", "--json", "--since", "--source", "--sort", "--limit", "--format", "--days", "--resume", "--out",
    "--skip-truncated", "--skip-bad-rows", "--allow-mostly-dropped", "--yes", "--html", "--max-failed",
)  # fmt: skip


def _words(random: Random) -> bytes:
    words = list(random.choice(_COMMANDS))
    pools = [random.choice((_OPTIONS, (*WORDS, "trips.csv"))) for _ in range(random.randint(0, 6))]
    words += [random.choice(pool) for pool in pools]
    return "\0".join(words).encode(errors="surrogateescape")


def _call(content: bytes, folder: Path, random: Random) -> None:
    """As a person's terminal has it: the trips lie in the working folder, and output can't hold every character."""
    from flows.cli import embedded, main
    from flows.core.errors import PrefectServerError, TaxiFlowsError

    (folder / "trips.csv").write_bytes(inputs.csv_text(0, "\n", 0))
    no_server = mock.patch.object(embedded, "start_prefect_api", side_effect=PrefectServerError("no server here"))
    words = content.decode(errors="surrogateescape").split("\0")
    with no_server, contextlib.chdir(folder), _terminal():
        try:
            main(words, prog_name="taxi-flows")
        except SystemExit as end:
            if end.code not in EXIT_CODES:
                raise
            if end.code:
                raise TaxiFlowsError(f"exit code {end.code}") from end


@contextlib.contextmanager
def _terminal() -> Iterator[None]:
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


KINDS = {
    "csv": Kind(_csv_text, _trips(".csv")),
    "csv.gz": Kind(_csv_gz, _trips(".csv.gz")),
    "parquet": Kind(_parquet, _trips(".parquet")),
    "zones": Kind(_zones, _read_zones),
    "records": Kind(lambda random: mutated_json(inputs.record(), random), _read_records),
    "state": Kind(_state, _read_state),
    "settings": Kind(_settings, _read_settings),
    "words": Kind(_words, _call),
}
