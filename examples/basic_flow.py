"""The smallest flow of your own: how many trips of a month have a place, and why the others have none.

Run it with `python examples/basic_flow.py synthetic_yellow_tripdata_2016-01.parquet`: a key in the object store, which
`taxi-flows data synth` puts there.
"""

from __future__ import annotations

import sys

from prefect import flow
from prefect.runtime import flow_run
from pydantic import BaseModel

from flows.model.parameters import experiment_spec
from flows.runtime.context import open_run
from flows.tasks import ingest, prepare


class Places(BaseModel):
    """Rows of a source, trips with a place, distinct places, and the others by reason."""

    rows: int
    used: int
    distinct: int
    dropped: dict[str, int]


@flow(name="count_places", log_prints=True)
def count_places(data_source: str, coordinate_type: str = "pickup") -> Places:
    """Read a source and count.

    Args:
        data_source: object key in the store.
        coordinate_type: pickup, dropoff or both.
    """
    spec = experiment_spec(data_source, coordinate_type=coordinate_type)
    with open_run("count_places", flow_run.id, spec, judges=False) as run:
        points = prepare(run, ingest(run))
    places = Places(
        rows=points.n_rows, used=points.n_used, distinct=points.n_unique, dropped=dict(points.dropped.items())
    )
    print(places)
    return places


if __name__ == "__main__":
    count_places(sys.argv[1])
