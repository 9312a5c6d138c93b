"""What a record says in short: the few numbers that matter, and all settings, each with its unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from flows.model.metric import Metric
from flows.model.records import DIFFERING_NOTE, ExperimentRecord
from flows.model.spec import CoordinateType
from flows.model.sweeps import AggregateRecord, ComparisonRecord, GridSpec, SweepRecord
from flows.report.measures import MEASURES, heading, measured, show
from flows.report.tables import source_name
from flows.report.terminal import in_all

Run = ExperimentRecord | SweepRecord | ComparisonRecord
Fact = tuple[str, str]


@dataclass(frozen=True)
class Tile:
    """One number that matters. note: what it is of; flag: it is a warning."""

    label: str
    value: str
    note: str = ""
    flag: bool = False


@dataclass(frozen=True)
class Tiles:
    """Tiles in a row."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    caption: str
    facts: tuple[Fact, ...]


def points_name(coordinate_type: CoordinateType) -> str:
    """What a used point is."""
    return "trip ends" if coordinate_type == "both" else "trips"


def experiment_tiles(record: ExperimentRecord) -> Tiles:
    """What came out of an experiment."""
    counts, points = record.clustering, points_name(record.spec.coordinate_type)
    noise = f"{counts.n_noise:,} of {record.points.used:,} {points}"
    tiles = [
        Tile(
            "Clusters", f"{counts.n_clusters:,}", f"eps {record.spec.eps:g} km, min_samples {record.spec.min_samples:,}"
        ),
        Tile(f"Used {points}", f"{record.points.used:,}", f"of {record.points.rows:,} rows"),
        _metric_tile("Noise", measured(record, "noise_ratio"), ".1f", " %", noise),
        _metric_tile("Overall score", record.overall_score, ".4f", "", "0 to 1, higher is better"),
        Tile("Fit", _seconds(record.performance.runtime_seconds), record.spec.adapter_type),
    ]
    if record.points.note and record.points.positions == "coordinates":
        tiles.insert(1, Tile("Coarse coordinates", "lattice", record.points.note, True))
    if counts.one_blob:
        share = measured(record, "largest_cluster_share")
        tiles.insert(
            1, Tile("One blob", show(share, ".1f", " %"), f"in one cluster: {counts.note or 'too large'}", True)
        )
    return Tiles(tuple(tiles))


def _metric_tile(label: str, metric: Metric, form: str, unit: str, note: str) -> Tile:
    if metric.value is None:
        return Tile(label, "undefined", metric.reason or "")
    return Tile(label, show(metric, form, unit), note)


def _seconds(seconds: float) -> str:
    return f"{seconds:,.3f} s" if seconds < 100 else f"{seconds:,.0f} s"


def experiment_facts(record: ExperimentRecord) -> tuple[Facts, ...]:
    """All numbers of an experiment."""
    return (
        Facts("Data", tuple(_data(record))),
        Facts("Setting", tuple(_setting(record))),
        Facts("Clusters", tuple(_clusters(record))),
        Facts("Quality", tuple(_quality(record))),
        Facts("Cost of the fit", tuple(_cost(record))),
    )


def _setting(record: ExperimentRecord) -> Iterator[Fact]:
    spec = record.spec
    yield "adapter", spec.adapter_type
    yield "eps", f"{spec.eps:g} km"
    yield "min_samples", f"{spec.min_samples:,} {points_name(spec.coordinate_type)}"
    yield from _chosen(record)


def _chosen(record: Run) -> Iterator[Fact]:
    """Which points were taken."""
    spec = record.spec
    yield "ends", spec.coordinate_type
    if spec.hours is not None:
        yield "hours", spec.hours
    if spec.weekdays is not None:
        yield "weekdays", spec.weekdays
    if spec.max_samples is not None:
        yield "at most", f"{spec.max_samples:,} {points_name(spec.coordinate_type)}"
    yield "seed", str(spec.seed)


def _data(record: Run) -> Iterator[Fact]:
    points, name = record.points, points_name(record.spec.coordinate_type)
    yield "source", source_name(record.spec.data_source)
    yield "files", f"{in_all(record.source)}, {sum(file.size_bytes for file in record.source) / 1e6:,.2f} MB in all"
    yield "rows", f"{points.rows:,}"
    yield f"used {name}", f"{points.used:,}"
    yield f"dropped {name}", f"{sum(points.dropped.values()):,}"
    yield "distinct places", f"{points.unique:,}"
    if points.clocks:
        yield "clock", points.clock
    if points.differing_rows:
        yield "differing rows", f"{points.differing_rows:,}: {DIFFERING_NOTE}"
    yield "positions", points.positions + (f" ({points.note})" if points.note else "")


def _clusters(record: ExperimentRecord) -> Iterator[Fact]:
    counts, name = record.clustering, points_name(record.spec.coordinate_type)
    yield "clusters", f"{counts.n_clusters:,}"
    yield "core", f"{counts.n_core:,} {name}"
    yield "border", f"{counts.n_border:,} {name}"
    yield "noise", f"{counts.n_noise:,} {name} ({show(measured(record, 'noise_ratio'), '.2f', ' %')})"
    yield "largest cluster", show(measured(record, "largest_cluster_share"), ".2f", f" % of used {name}")
    if counts.one_blob:
        yield "flag", f"one blob: {counts.note or 'one cluster holds more than half'}"


def _quality(record: ExperimentRecord) -> Iterator[Fact]:
    yield "overall score", show(record.overall_score, ".4f", " (0 to 1)")
    quality = record.quality
    if quality is None:
        yield "metrics", "not judged in this run"
        return
    sample, clustered = quality.silhouette_sample_size, quality.silhouette_sample_clustered
    yield "silhouette", show(quality.silhouette, ".4f", " (-1 to 1)")
    yield "silhouette sample", f"{sample:,} points, {clustered:,} of them in clusters"
    yield "Davies-Bouldin", show(quality.davies_bouldin, ",.4f", " (0 up, lower is better)")
    yield "Calinski-Harabasz", show(quality.calinski_harabasz, ",.1f", " (0 up, higher is better)")


def _cost(record: ExperimentRecord) -> Iterator[Fact]:
    cost = record.performance
    yield "fit", _seconds(cost.runtime_seconds)
    yield "CPU time", _seconds(cost.cpu_seconds)
    yield "workers", f"{cost.n_jobs:,}"
    yield "speed", show(cost.points_per_second, ",.0f", " points per second")
    yield "peak memory", show(measured(record, "peak_memory_bytes"), ",.1f", " MiB")


def sweep_tiles(record: SweepRecord) -> Tiles:
    """What came out of a sweep."""
    n_failed = sum(cell.status == "failed" for cell in record.cells)
    tiles = [Tile("Cells", f"{len(record.cells):,}", f"{n_failed:,} failed" if n_failed else "all succeeded")]
    if record.best is None:
        tiles.append(Tile("Best setting", "none", record.best_reason))
    else:
        best, name = record.cells[record.best], record.spec.metric
        tiles.append(
            Tile("Best setting", f"{best.eps:g} km · {best.min_samples:,}", f"eps · min_samples; {best.adapter}")
        )
        value = show(measured(best, name), MEASURES[name].form, MEASURES[name].suffix)
        tiles.append(Tile(f"{heading(name)} of the best", value, record.best_reason))
    tiles.append(Tile("Time in all", _seconds(sum(record.timings.values())), "all steps"))
    return Tiles(tuple(tiles))


def grid_facts(record: SweepRecord | ComparisonRecord) -> tuple[Facts, ...]:
    """What a sweep or a comparison was asked for."""
    return Facts("Data", tuple(_data(record))), Facts("Grid", (*_grid(record.spec), *_chosen(record)))


def _grid(spec: GridSpec) -> Iterator[Fact]:
    yield "adapters", ", ".join(spec.adapters)
    yield "eps", f"{_listed([f'{eps:g}' for eps in spec.eps_values])} km"
    yield (
        "min_samples",
        f"{_listed([f'{value:,}' for value in spec.min_samples_values])} {points_name(spec.coordinate_type)}",
    )
    yield "metric", spec.metric


def _listed(values: list[str]) -> str:
    shown = 20
    return ", ".join(values[:shown]) + (f" and {len(values) - shown:,} more" if len(values) > shown else "")


def comparison_tiles(record: ComparisonRecord) -> Tiles:
    """How the adapters compare over all cells."""
    tiles = [Tile("Adapters", f"{len(record.spec.adapters):,}", ", ".join(record.spec.adapters))]
    for one in record.overall:
        against = f"against {one.reference}"
        tiles.append(_metric_tile(f"Speed-up of {one.adapter}", one.speed_up, ",.2f", " times", against))
        same = {True: "labels are equal", False: "labels differ", None: "labels were not compared"}[one.equal]
        tiles.append(_metric_tile(f"Adjusted Rand of {one.adapter}", one.adjusted_rand, ".4f", "", same))
    return Tiles(tuple(tiles))


def aggregate_tiles(record: AggregateRecord) -> Tiles:
    """What an aggregate looked at."""
    tiles = [
        Tile("Records", f"{record.n_records:,}", f"{record.first_day} to {record.last_day}, UTC"),
        Tile("Adapters and settings", f"{len(record.groups):,}", "groups of records"),
    ]
    if record.n_older_schema:
        tiles.append(Tile("Older records", f"{record.n_older_schema:,}", "of an older schema, left out"))
    if record.corrupt:
        tiles.append(Tile("Corrupt records", f"{len(record.corrupt):,}", ", ".join(record.corrupt[:3]), True))
    return Tiles(tuple(tiles))


def environment_facts(record: Run | AggregateRecord) -> Facts:
    """Where and with what a record was made."""
    env = record.environment
    facts = [
        ("record", record.key),
        ("flow", record.flow),
        ("created", record.created.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("taxi-flows", env.taxi_flows),
        ("Python", env.python),
        ("platform", env.platform),
        *env.libraries.items(),
    ]
    optional = (("image", env.image), ("flow run", env.flow_run_id))
    return Facts("Made with", (*facts, *((name, value) for name, value in optional if value is not None)))
