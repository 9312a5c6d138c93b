"""The work of a run as Prefect tasks. Arrays of millions of points are no cache keys, so nothing is cached."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import work

ingest = task(name="ingest", cache_policy=NO_CACHE)(work.ingest)
prepare = task(name="prepare", cache_policy=NO_CACHE)(work.prepare)
cluster = task(name="cluster", cache_policy=NO_CACHE)(work.cluster)
evaluate = task(name="evaluate", cache_policy=NO_CACHE)(work.evaluate)
record = task(name="record", cache_policy=NO_CACHE)(work.record)
