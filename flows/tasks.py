"""The work of a run as Prefect tasks. Arrays of millions of points are no cache keys, so nothing is cached."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import work

ingest = task(work.ingest, name="ingest", cache_policy=NO_CACHE)
prepare = task(work.prepare, name="prepare", cache_policy=NO_CACHE)
cluster = task(work.cluster, name="cluster", cache_policy=NO_CACHE)
evaluate = task(work.evaluate, name="evaluate", cache_policy=NO_CACHE)
record = task(work.record, name="record", cache_policy=NO_CACHE)
