"""Every parameter of the flows, once: what it means, and its default.

The flows' docstrings (Prefect's form shows them), the options of the command line, the custom resources and the
reference pages take their words from here; types and bounds are those of `flows.model.spec` and `flows.model.sweeps`.
Importing this needs no library, so that `--help` is quick.
"""

from __future__ import annotations

from typing import Final

ADAPTER_TYPE: Final = "sklearn"
EPS_KM: Final = 0.5
MIN_SAMPLES: Final = 5
METRIC: Final = "overall_score"

EPS_VALUES_KM: Final = (0.3, 0.5, 0.7, 1.0)
MIN_SAMPLES_VALUES: Final = (5, 10, 15)

COMPARED_ADAPTERS: Final = ("sklearn", "sklearn_parallel")
COMPARED_EPS_VALUES_KM: Final = (0.3, 0.5, 0.7)
COMPARED_MIN_SAMPLES_VALUES: Final = (5, 10)

DAILY_MAX_SAMPLES: Final = 100_000
WEEKLY_ADAPTER_TYPE: Final = "grid"
WEEKLY_EPS_VALUES_KM: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
WEEKLY_MIN_SAMPLES_VALUES: Final = (5, 10, 15, 25, 50, 100)

MAX_PARALLEL: Final = 4
CHUNK_ATTEMPTS: Final = 2
DAYS: Final = 7

HELP: Final = {
    "data_source": "Object key of a month, or a local path; a list of them or a glob for several months.",
    "adapter_type": "DBSCAN implementation; all give the same labels.",
    "eps": "Radius of a neighbourhood, kilometres on the ground.",
    "min_samples": "Trips within eps, the point's own included, that make a core point.",
    "coordinate_type": "Cluster pick-ups, drop-offs or both.",
    "use_location_ids": "Place trips at the centroids of their taxi zones where the source has no coordinates.",
    "max_samples": "Cluster at most this many points, drawn at random; all where it is not set.",
    "use_minio": "Read data_source from the object store, not from local files.",
    "seed": "Random seed.",
    "hours": "Only trips picked up in these hours, such as 7-10 (10 excluded), 22-4 or 7:30-9:30,16-19.",
    "weekdays": "Only trips picked up on these days, such as mon-fri or sat,sun.",
    "adapters": "DBSCAN implementations; the others are compared with the first.",
    "eps_values": "Radii of a neighbourhood, kilometres. A sweep also takes auto: five around the knee of k-distances.",
    "min_samples_values": "Numbers of trips within eps, the point's own included, that make a core point.",
    "metric": "Metric that the best setting is best by.",
    "max_failed": "Cells that may fail; all are tried.",
    "allow_large": "Allow a grid of more than 10,000 cells.",
    "resume": "ID of a sweep that stopped: finish it with its own parameters.",
    "max_parallel": "Child runs at once, where cells run as child runs (TAXI_FAN_OUT).",
    "cells_per_chunk": "Cells of one child run (TAXI_FAN_OUT); if not set, max_parallel runs of at least six cells.",
    "chunk_attempts": "Child runs that may be started for the same cells (TAXI_FAN_OUT).",
    "days": "Days to look back (UTC), today included.",
    "sweep_id": "ID of the sweep or comparison, whose plan is in the store.",
}
"""What each parameter means, by its name in the flows."""
