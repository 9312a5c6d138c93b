"""A flow that survives a store which is away for a moment, and fails at once on what no retry mends.

It evaluates a month and keeps the result in one line of CSV beside your records. Run it with
`python examples/retry_flow.py synthetic_yellow_tripdata_2016-01.parquet`.
"""

from __future__ import annotations

import sys
from typing import Any

from prefect import State, Task, flow, task
from prefect.client.schemas.objects import TaskRun

from flows.core.errors import StoreError
from flows.core.settings import load_settings
from flows.evaluation_flows import evaluation_pipeline
from flows.store import open_store

RETRY_DELAYS_SECONDS = [2, 10, 30]


def store_was_away(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry a fault of the store alone: bad data and bad parameters are as bad the next time."""
    return isinstance(state.result(raise_on_failure=False), StoreError)


@task(
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=list(RETRY_DELAYS_SECONDS),
    retry_condition_fn=store_was_away,
)
def keep(key: str, line: str) -> str:
    """Write one object; writing it again does no harm, so it may be retried."""
    settings = load_settings()
    open_store(settings).put_bytes(settings.experiments_bucket, key, line.encode())
    return key


@flow(name="keep_score", log_prints=True)
def keep_score(data_source: str, eps: float = 0.1, min_samples: int = 50) -> str:
    """Evaluate a month and keep `source,clusters,score`. The run fails where its last retry does.

    Args:
        data_source: object key in the store.
        eps: radius of a neighbourhood, in kilometres.
        min_samples: trips within eps that make a core point.

    Returns:
        The key of the line.
    """
    record = evaluation_pipeline(data_source, eps=eps, min_samples=min_samples).record
    score = record.overall_score.value
    line = f"{data_source},{record.clustering.n_clusters},{'' if score is None else score}\n"
    return keep(f"scores/{record.id}.csv", line)


if __name__ == "__main__":
    keep_score(sys.argv[1])
