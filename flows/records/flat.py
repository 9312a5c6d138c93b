"""Records as one flat table: spec, data, counts, metrics and timings, one row per experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.core.atomic import replacing
from flows.core.text import printable
from flows.model.ranking import METRICS
from flows.model.records import ExperimentRecord

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "parquet"]
Value = str | int | float | bool | None


def flat_row(record: ExperimentRecord) -> dict[str, Value]:
    """One record. Names carry units; a metric that is not defined is None; files of a source are joined by ';'."""
    spec, points, counts = record.spec, record.points, record.clustering
    return {
        "id": record.id,
        "created": record.created.isoformat(),
        "flow": record.flow,
        "sweep_id": record.sweep_id,
        "data_source": ";".join(spec.data_source),
        "sha256": ";".join(file.sha256 for file in record.source),
        "adapter_type": spec.adapter_type,
        "eps_km": spec.eps,
        "min_samples": spec.min_samples,
        "coordinate_type": spec.coordinate_type,
        "use_location_ids": spec.use_location_ids,
        "max_samples": spec.max_samples,
        "seed": spec.seed,
        "hours": spec.hours,
        "weekdays": spec.weekdays,
        "rows": points.rows,
        "skipped_rows": sum(file.skipped.n for file in record.source),
        "used": points.used,
        "unique": points.unique,
        **{f"dropped_{reason}": count for reason, count in points.dropped.items()},
        "n_core": counts.n_core,
        "n_border": counts.n_border,
        "n_noise": counts.n_noise,
        "one_blob": counts.one_blob,
        **{name: kind.read(record).value for name, kind in METRICS.items()},
        "n_jobs": record.performance.n_jobs,
        **{f"timing_{step}_seconds": seconds for step, seconds in record.timings.items()},
        "taxi_flows": record.environment.taxi_flows,
        "image": record.environment.image,
        "flow_run_id": record.environment.flow_run_id,
    }


def _without_formulas(column: pd.Series[Any]) -> pd.Series[Any]:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay numbers.

    Control characters are escaped: Python's csv module writes a carriage return, which ends a line, without quotes.
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if column.dtype != "string":
        return column
    return column.str.replace(r"^(?=[=+\-@\t\r\n])", "'", regex=True).map(printable, na_action="ignore")


def flat_table(records: Sequence[ExperimentRecord]) -> pd.DataFrame:
    """The records as a data frame, in their order; numbers that may be missing are nullable columns."""
    import pandas as pd

    return pd.DataFrame([flat_row(record) for record in records]).convert_dtypes()


def export_records(records: Sequence[ExperimentRecord], path: Path, form: Format) -> None:
    """Write the flat table, whole or not at all; what is undefined is empty in csv and null in parquet.

    Raises:
        OSError: the file can't be written.
    """
    table = flat_table(records)
    with replacing(path) as file:
        if form == "csv":
            file.write(table.apply(_without_formulas).to_csv(index=False).encode())
        else:
            table.to_parquet(file, index=False)
