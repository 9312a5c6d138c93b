"""A flow of your own, built on the steps: how many hot spots there are in the morning, the evening and at night.

Run it with `python examples/hot_spots_by_hour.py synthetic_yellow_tripdata_2016-01.parquet`: a key in the object store,
which `taxi-flows data synth` puts there.
"""

from __future__ import annotations

import sys

from prefect import flow
from prefect.runtime import flow_run
from pydantic import BaseModel

from flows.model.parameters import experiment_spec
from flows.runtime.context import open_run
from flows.tasks import cluster, ingest, prepare


class HotSpots(BaseModel):
    """Number of trips and of hot spots in some hours of the day."""

    hours: str
    trips: int
    hot_spots: int


@flow(name="hot_spots_by_hour", log_prints=True)
def hot_spots_by_hour(
    data_source: str, eps: float = 0.1, min_samples: int = 50, spans: tuple[str, ...] = ("7-10", "17-20", "23-4")
) -> list[HotSpots]:
    """Cluster the pick-ups of each span of hours by itself.

    Args:
        data_source: object key in the store.
        eps: radius of a neighbourhood, in kilometres.
        min_samples: trips within eps that make it a hot spot's core.
        spans: hours of the day, the end excluded.
    """
    found = []
    for hours in spans:
        spec = experiment_spec(data_source, eps=eps, min_samples=min_samples, hours=hours)
        with open_run("hot_spots_by_hour", flow_run.id, spec, judges=False) as run:
            points = prepare(run, ingest(run))
            clustering = cluster(run, points)
        found.append(HotSpots(hours=hours, trips=points.n_used, hot_spots=int(clustering.labels.max()) + 1))
        print(found[-1])
    return found


if __name__ == "__main__":
    hot_spots_by_hour(sys.argv[1])
