"""A flow whose tasks run side by side: are there months in the store twice, under two names?

Run it with `python examples/parallel_flow.py 'yellow_tripdata_*'`: a glob of keys in the object store.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from prefect import flow, task

from flows.core.settings import load_settings
from flows.datasets.sources import resolve
from flows.model.parameters import experiment_spec
from flows.steps.record import fingerprint_files
from flows.store import open_store


@task
def checksum(key: str) -> str:
    """SHA-256 of one object; reading and hashing let other threads work."""
    settings = load_settings()
    with resolve(experiment_spec(key), settings, open_store(settings)) as files:
        [sha256] = fingerprint_files(files)
    return sha256


@flow(name="find_copies", log_prints=True)
def find_copies(pattern: str) -> list[list[str]]:
    """Keys of equal content, together.

    Args:
        pattern: a glob of object keys.
    """
    settings = load_settings()
    with resolve(experiment_spec(pattern), settings, open_store(settings)) as files:
        keys = [file.name for file in files]
    by_content = defaultdict(list)
    for key, sha256 in zip(keys, checksum.map(keys).result(), strict=True):
        by_content[sha256].append(key)
    copies = [same for same in by_content.values() if len(same) > 1]
    print(copies or f"{len(keys)} objects, no two alike")
    return copies


if __name__ == "__main__":
    find_copies(sys.argv[1])
