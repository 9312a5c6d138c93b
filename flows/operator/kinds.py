"""The kinds of Prefect's objects that are kept as declared."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What is reconciled, in the order in which it must come about."""

    WORK_POOL = "work-pool"
    CONCURRENCY_LIMIT = "concurrency-limit"
    DEPLOYMENT = "deployment"
    AUTOMATION = "automation"
