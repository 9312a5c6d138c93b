"""What differs between two experiments: parameters, metrics, and how far their labels agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.core.errors import SourceError, ZoneTableError
from flows.core.frozen import Frozen
from flows.model.metric import Measured, Metric
from flows.model.ranking import METRICS
from flows.model.records import ExperimentRecord
from flows.records.flat import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flows.core.settings import Settings
    from flows.model.points import Points
    from flows.store import ObjectStore


class Parameter(Frozen):
    """A parameter that differs."""

    name: str
    first: Value
    second: Value


class MetricPair(Measured):
    """A metric of both; difference is the second minus the first, None where one of them is not defined."""

    name: str
    unit: str
    first: Metric
    second: Metric
    difference: float | None


class RecordDiff(Measured):
    """Two experiments side by side. adjusted_rand: of the labels of used points, noise as a class of its own."""

    first: str
    second: str
    parameters: tuple[Parameter, ...]
    metrics: tuple[MetricPair, ...]
    adjusted_rand: Metric


def diff(first: ExperimentRecord, second: ExperimentRecord, store: ObjectStore, settings: Settings) -> RecordDiff:
    """Set two experiments side by side.

    Labels are not stored: they are made again from the specs, where both used the same points and the source is at
    hand with the bytes that were recorded.

    Raises:
        StoreError: the store does not answer.
    """
    return RecordDiff(
        first=first.id,
        second=second.id,
        parameters=tuple(_parameters(first, second)),
        metrics=tuple(_pair(name, first, second) for name in METRICS),
        adjusted_rand=_agreement(first, second, store, settings),
    )


def _parameters(first: ExperimentRecord, second: ExperimentRecord) -> list[Parameter]:
    pairs = zip(_described(first).items(), _described(second).values(), strict=True)
    return [Parameter(name=name, first=one, second=other) for (name, one), other in pairs if one != other]


def _described(record: ExperimentRecord) -> dict[str, str]:
    """Every parameter and setting that a result depends on, and the data, as text."""
    chosen = {**dict(record.spec), **dict(record.settings)}
    described = {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in chosen.items()}
    return {"flow": record.flow, **described, "sha256": ", ".join(file.sha256 for file in record.source)}


def _pair(name: str, first: ExperimentRecord, second: ExperimentRecord) -> MetricPair:
    kind = METRICS[name]
    one, other = kind.read(first), kind.read(second)
    both = one.value is not None and other.value is not None
    return MetricPair(
        name=name,
        unit=kind.unit,
        first=one,
        second=other,
        difference=other.value - one.value if both else None,  # type: ignore[operator]
    )


_OF_THE_POINTS = ("coordinate_type", "max_samples", "hours", "weekdays")
_SETTINGS_OF_THE_POINTS = ("city_box", "skip_truncated", "zone_table_sha256")


def _agreement(first: ExperimentRecord, second: ExperimentRecord, store: ObjectStore, settings: Settings) -> Metric:
    differing = _differing_points(first, second)
    if differing is not None:
        return Metric(value=None, reason=f"the two did not use the same points: {differing} differs")
    try:
        return Metric(value=_adjusted_rand(first, second, store, settings))
    except (SourceError, ZoneTableError, _ChangedError) as fault:
        return Metric(value=None, reason=f"the labels can't be made again: {fault}")


def _differing_points(first: ExperimentRecord, second: ExperimentRecord) -> str | None:
    """What says that the points of the two are not the same."""
    if [file.sha256 for file in first.source] != [file.sha256 for file in second.source]:
        return "the content of the source"
    for name in _OF_THE_POINTS:
        if getattr(first.spec, name) != getattr(second.spec, name):
            return name
    for name in _SETTINGS_OF_THE_POINTS:
        if getattr(first.settings, name) != getattr(second.settings, name):
            return name
    return "seed" if first.spec.max_samples is not None and first.spec.seed != second.spec.seed else None


class _ChangedError(Exception):
    """The data is not what was recorded."""


def _adjusted_rand(first: ExperimentRecord, second: ExperimentRecord, store: ObjectStore, settings: Settings) -> float:
    from sklearn.metrics import adjusted_rand_score

    recorded = settings.model_copy(
        update={
            "city_box": first.settings.city_box,
            "skip_truncated": first.settings.skip_truncated,
            "skip_bad_rows": first.settings.skip_bad_rows,
            "allow_mostly_dropped": True,
        }
    )
    points = _points(first, store, recorded)
    labels = [_labels(points, record, recorded) for record in (first, second)]
    return float(adjusted_rand_score(*labels))


def _points(record: ExperimentRecord, store: ObjectStore, settings: Settings) -> Points:
    """The used points of a record.

    Raises:
        SourceError: the source is not there.
        _ChangedError: it is, but holds other bytes.
    """
    from flows.core.limits import n_jobs
    from flows.core.progress import terminal_progress
    from flows.datasets.sources import resolve, zone_table
    from flows.steps.ingest import open_source
    from flows.steps.prepare import prepare
    from flows.steps.record import fingerprint_files

    with resolve(record.spec, settings, store) as files:
        if fingerprint_files(files) != tuple(file.sha256 for file in record.source):
            raise _ChangedError(f"{', '.join(record.spec.data_source)} holds other bytes than were clustered")
        zones = zone_table(settings, store) if record.points.positions == "zones" else None
        if record.points.positions == "zones" and (zones is None or zones.sha256 != record.settings.zone_table_sha256):
            raise _ChangedError("the zone table is not the one that was used")
        source = open_source(files, record.spec, settings, terminal_progress())
        return prepare(source, record.spec, settings, zones, n_jobs(None, settings))


def _labels(points: Points, record: ExperimentRecord, settings: Settings) -> NDArray[np.int64]:
    """int64[n_used]."""
    from flows.core.limits import n_jobs
    from flows.steps.cluster import cluster

    return cluster(points, record.spec, settings, n_jobs(None, settings)).labels[points.inverse]
