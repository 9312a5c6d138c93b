"""The tables of an aggregate: statistics, paired tests, trends."""

from __future__ import annotations

from flows.model.sweeps import AggregateRecord
from flows.report.measures import in_unit, title
from flows.report.tables import Column, Table, Value

_SETTING = (Column("adapter"), Column("eps, km", "g"), Column("min_samples, points", ",d"))
_FIGURES = ",.4g"


def statistics(record: AggregateRecord) -> Table:
    """One row per group and metric."""
    columns = (
        *_SETTING,
        Column("metric"),
        Column("records", ",d"),
        Column("undefined", ",d"),
        Column("mean", _FIGURES),
        Column("95 % from", _FIGURES),
        Column("95 % to", _FIGURES),
        Column("median", _FIGURES),
        Column("standard deviation", _FIGURES),
    )
    rows = (
        (
            group.adapter,
            group.eps,
            group.min_samples,
            title(one.metric),
            one.n,
            one.n_undefined,
            *(in_unit(one.metric, value) for value in (one.mean, one.low, one.high, one.median)),
            in_unit(one.metric, one.standard_deviation),
        )
        for group in record.groups
        for one in group.statistics
    )
    return Table.of("statistics", "Metrics by adapter and setting", columns, rows)


def tests(record: AggregateRecord) -> Table:
    """Paired tests of runtimes."""
    columns = (
        Column("first"),
        Column("second"),
        Column("pairs", ",d"),
        Column("test"),
        Column("statistic", _FIGURES),
        Column("p", ".3g"),
        Column("median runtime ratio, first / second", ",.2f"),
        Column("note"),
    )
    rows = (
        (one.first, one.second, one.n_pairs, one.test, one.statistic, one.p_value, one.median_ratio, one.reason or "")
        for one in record.tests
    )
    return Table.of("tests", "Paired tests of fit time", columns, rows)


def trends(record: AggregateRecord) -> Table:
    """Each group's metric against the period before."""
    columns = (
        *_SETTING,
        Column("metric"),
        Column("records", ",d"),
        Column("records before", ",d"),
        Column("mean", _FIGURES),
        Column("mean before", _FIGURES),
        Column("change, in the metric's unit", "+,.4g"),
    )
    rows: list[tuple[Value, ...]] = [
        (
            one.adapter,
            one.eps,
            one.min_samples,
            title(one.metric),
            one.n,
            one.n_before,
            *(in_unit(one.metric, value) for value in (one.mean, one.mean_before, one.change)),
        )
        for one in record.trends
    ]
    return Table.of("trends", "Against the period before", columns, rows)
