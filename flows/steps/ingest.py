"""Ingest: check every file of a data source, decide coordinates or zones once, and stream the rows that a run needs."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial

import numpy as np

from flows.core.errors import DialectError, ParameterError
from flows.core.progress import NO_PROGRESS, Progress
from flows.core.settings import Settings
from flows.model.points import Kind, SourceFile, TripBatch, TripSource
from flows.model.spec import ExperimentSpec, ends_of
from flows.readers.dialects import COORDINATE_ROLES, ZONE_ROLES, Role
from flows.readers.layout import Layout, read_layout
from flows.readers.read_ahead import read_ahead
from flows.readers.table import Chunk, ChunkSize, ValueType
from flows.readers.trip_columns import TripColumns

CHUNK_SIZE = ChunkSize()


def open_source(
    files: Sequence[SourceFile],
    spec: ExperimentSpec,
    settings: Settings,
    progress: Progress = NO_PROGRESS,
    chunk_size: ChunkSize = CHUNK_SIZE,
) -> TripSource:
    """Check all files, then give a source whose batches stream their rows.

    The positions are coordinates where a coordinate column holds values, else zone ids: decided once, for all files.
    Times are read only where the spec filters by time.

    Raises:
        ParameterError: hours or weekdays are asked of files without times.
        DialectError: files that are no trip records, or of different kinds, or without the ends asked for.
        UnreadableFileError: a file that is corrupt, empty or of another format.
        RowError: rows that don't fit their header. One further down is raised while the batches are read.
    """
    layouts = [read_layout(file, settings.skip_truncated, settings.skip_bad_rows) for file in files]
    kind = _one_kind(layouts)
    _check_zones_allowed(layouts, kind, spec)
    _check_ends(layouts, spec)
    if spec.filters_time:
        _check_times(layouts)
    for layout in layouts:
        layout.check_values(roles_to_read(kind, spec))
    return TripSource(
        files=tuple(files),
        dialects=tuple(layout.dialect.name for layout in layouts),
        kind=kind,
        n_rows=_count_rows(layouts),
        zone_columns=tuple(dict.fromkeys(name for layout in layouts for name in layout.zone_columns())),
        batches=partial(stream, layouts, spec, progress, chunk_size),
    )


def stream(
    layouts: Sequence[Layout],
    spec: ExperimentSpec,
    progress: Progress = NO_PROGRESS,
    chunk_size: ChunkSize = CHUNK_SIZE,
) -> Iterator[TripBatch]:
    """The rows of checked files of one kind, read ahead of the consumer in a background thread.

    Raises:
        RowError, UnreadableFileError: what only reading to the end brings to light.
    """
    ahead = read_ahead(_batches(layouts, spec, chunk_size))
    progress.start(_count_rows(layouts), "Reading trips")
    try:
        for batch in ahead:
            progress.advance(batch.n_rows)
            yield batch
    finally:
        ahead.close()
        progress.finish()


def _count_rows(layouts: Sequence[Layout]) -> int | None:
    counts = [layout.table.n_rows for layout in layouts]
    return None if None in counts else sum(count or 0 for count in counts)


def _one_kind(layouts: Sequence[Layout]) -> Kind:
    if len({layout.kind for layout in layouts}) == 1:
        return layouts[0].kind
    which = "; ".join(f"{layout.file.name}: {layout.kind} ({layout.dialect.name})" for layout in layouts)
    raise DialectError(
        f"files of different kinds can't be clustered together. Found {which}; expected one kind. "
        "Run those with coordinates and those with zones apart."
    )


def _check_zones_allowed(layouts: Sequence[Layout], kind: Kind, spec: ExperimentSpec) -> None:
    if kind == "zones" and not spec.use_location_ids:
        first = layouts[0]
        beside = ", and coordinates that are all empty or 0" if "pickup_lon" in first.columns else ""
        raise DialectError(
            f"{first.file.name}: found taxi zone ids ({first.dialect.name}){beside}, expected coordinates because "
            "use_location_ids is false. Allow zone ids, or choose a month with coordinates (until 2016-06)."
        )


def _check_ends(layouts: Sequence[Layout], spec: ExperimentSpec) -> None:
    for layout in layouts:
        absent = [end for end in ends_of(spec.coordinate_type) if end not in layout.ends]
        if absent:
            raise DialectError(
                f"{layout.file.name} ({layout.dialect.name}): coordinate_type is {spec.coordinate_type!r}, but no "
                f"{' and '.join(absent)} {layout.kind} are there. Found {' and '.join(layout.ends)} {layout.kind} "
                f"alone; use coordinate_type {layout.ends[0]!r}."
            )


def _check_times(layouts: Sequence[Layout]) -> None:
    for layout in layouts:
        if not layout.has_times():
            raise ParameterError(
                f"{layout.file.name} ({layout.dialect.name}): hours and weekdays need pick-up times, found none. "
                f"Leave both out. Columns: {', '.join(layout.table.names)}."
            )


def roles_to_read(kind: Kind, spec: ExperimentSpec) -> dict[Role, ValueType]:
    """What a run needs."""
    roles: dict[Role, ValueType] = {}
    for end in ends_of(spec.coordinate_type):
        if kind == "coordinates":
            roles |= dict.fromkeys(COORDINATE_ROLES[end], "number")
        else:
            roles[ZONE_ROLES[end]] = "zone"
    if spec.filters_time:
        roles["pickup_time"] = "time"
    return roles


def _batches(layouts: Sequence[Layout], spec: ExperimentSpec, chunk_size: ChunkSize) -> Generator[TripBatch]:
    first_row = 0
    roles = roles_to_read(layouts[0].kind, spec)
    for file_index, layout in enumerate(layouts):
        columns = {c: value_type for role, value_type in roles.items() for c in layout.columns[role]}
        for chunk in layout.table.chunks(columns, chunk_size):
            yield _batch(chunk, layout, spec, file_index, first_row)
            first_row += chunk.n_rows


def _batch(chunk: Chunk, layout: Layout, spec: ExperimentSpec, file_index: int, first_row: int) -> TripBatch:
    ends = ends_of(spec.coordinate_type)
    columns = TripColumns(chunk, layout)
    pairs = [columns.coordinates(end) for end in ends] if layout.kind == "coordinates" else []
    zones = [columns.zones(end) for end in ends] if layout.kind == "zones" else []
    minutes = columns.pickup_minutes() if spec.filters_time else None
    return TripBatch(
        file_index=file_index,
        first_row=first_row,
        n_rows=chunk.n_rows,
        lon=tuple(lon for lon, _ in pairs) or None,
        lat=tuple(lat for _, lat in pairs) or None,
        zone=tuple(zones) or None,
        pickup_minute=minutes,
        clocks=columns.clocks,
        n_differing=int(np.count_nonzero(columns.differing)),
        bad_lines=chunk.bad_lines,
    )
