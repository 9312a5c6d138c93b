"""Say what a trip file is, what is in it and what would be dropped, without clustering (`taxi-flows data check`)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from flows.core.frozen import INT64_MAX, Frozen
from flows.core.progress import NO_PROGRESS, Progress
from flows.core.settings import CityBox, Settings
from flows.model.points import BadRows, DropReason, Kind, SourceFile, TripBatch
from flows.model.spec import End, ExperimentSpec
from flows.readers.dialects import Role, Service
from flows.readers.layout import Layout, read_layout
from flows.steps.ingest import roles_to_read, stream
from flows.steps.prepare import classify_coordinates

_COORDINATE_REASONS: tuple[DropReason, ...] = ("null", "zero", "outside")
_ZONE_REASONS: tuple[DropReason, ...] = ("null", "unknown_zone")
_STATUS = ("used", *_COORDINATE_REASONS)  # by the number that classify_coordinates gives


class ColumnReport(Frozen):
    """A column of the file; role is None where it plays none."""

    name: str
    role: Role | None


class EndReport(Frozen):
    """Points of one end. unknown_zone is absent from `dropped` where no zone table was at hand."""

    end: End
    used: int
    dropped: dict[DropReason, int]


class FileReport(Frozen):
    """What a file is.

    rows: whole rows that fit the header. truncated_last_line: a last line that is cut off follows them.
    """

    name: str
    size_bytes: int
    dialect: str
    service: Service
    rows: int
    truncated_last_line: bool
    bad_rows: BadRows
    columns: tuple[ColumnReport, ...]
    kind: Kind
    has_times: bool
    ends: tuple[EndReport, ...]


def check_file(
    file: SourceFile, settings: Settings, zone_ids: frozenset[int] | None = None, progress: Progress = NO_PROGRESS
) -> FileReport:
    """Read a file to its end and count.

    Args:
        zone_ids: ids that have a polygon; None where there is no zone table, then none counts as unknown.

    Raises:
        SourceError: what `run` would refuse the file for, a cut-off last line and bad rows apart: they are reported.
    """
    layout = read_layout(file, skip_truncated=True, skip_bad_rows=INT64_MAX)
    spec = ExperimentSpec(data_source=(file.name,), coordinate_type="both" if len(layout.ends) > 1 else layout.ends[0])
    layout.check_values(roles_to_read(layout.kind, spec))
    rows, bad_rows, fates = 0, BadRows(), [Counter[str]() for _ in layout.ends]
    for batch in stream([layout], spec, progress):
        rows += batch.n_rows
        bad_rows = bad_rows.extended(batch.bad_lines)
        for index, fate in enumerate(fates):
            fate.update(_fates(batch, index, settings.city_box, zone_ids))
    return FileReport(
        name=file.name,
        size_bytes=file.size_bytes,
        dialect=layout.dialect.name,
        service=layout.dialect.service,
        rows=rows,
        truncated_last_line=layout.table.truncated,
        bad_rows=bad_rows,
        columns=_columns(layout),
        kind=layout.kind,
        has_times=layout.has_times(),
        ends=tuple(_end_report(end, fate, layout.kind, zone_ids) for end, fate in zip(layout.ends, fates, strict=True)),
    )


def _columns(layout: Layout) -> tuple[ColumnReport, ...]:
    roles = {column: role for role, columns in layout.columns.items() for column in columns}
    return tuple(ColumnReport(name=name, role=roles.get(column)) for column, name in enumerate(layout.table.names))


def _fates(batch: TripBatch, end: int, box: CityBox, zone_ids: frozenset[int] | None) -> dict[str, int]:
    """Points of one end of a batch, counted by what becomes of them."""
    if batch.lon is not None and batch.lat is not None:
        counts = np.bincount(classify_coordinates(batch.lon[end], batch.lat[end], box), minlength=len(_STATUS))
        return dict(zip(_STATUS, counts.tolist(), strict=True))
    assert batch.zone is not None  # noqa: S101  (a batch has one or the other)
    ids, counts = np.unique(batch.zone[end], return_counts=True)
    null = int(counts[ids == -1].sum())
    unknown = 0 if zone_ids is None else int(counts[(ids != -1) & ~np.isin(ids, list(zone_ids))].sum())
    return {"used": batch.n_rows - null - unknown, "null": null, "unknown_zone": unknown}


def _end_report(end: End, fate: Counter[str], kind: Kind, zone_ids: frozenset[int] | None) -> EndReport:
    reasons = _COORDINATE_REASONS if kind == "coordinates" else _ZONE_REASONS[: 1 if zone_ids is None else 2]
    return EndReport(end=end, used=fate["used"], dropped={reason: fate[reason] for reason in reasons})
