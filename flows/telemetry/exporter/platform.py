"""How Prefect stands at a moment, as gauges: what runs, what is due, and who polls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flows.telemetry.exporter.events import Labels

AWAITING_SLOT = "AwaitingConcurrencySlot"
"""State of a run that Prefect has put back, since its deployment's limit is reached."""


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """A deployment. concurrency_limit: of its runs at one time, None where there is none."""

    id: UUID
    labels: Labels
    created: datetime
    concurrency_limit: int | None


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A work pool. concurrency_limit: as of a deployment. last_polled: by a worker, else when it was created."""

    name: str
    paused: bool
    concurrency_limit: int | None
    last_polled: datetime


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run that runs, is about to, or is due. running_since: None where it is not running."""

    flow_name: str
    deployment: UUID | None
    work_pool: str | None
    state_name: str
    running_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Platform:
    """The gauges. active: running runs by flow; running_since: begin of the one that has run longest."""

    polled_at: datetime
    deployments: tuple[DeploymentFacts, ...]
    pools: tuple[PoolFacts, ...]
    active: dict[str, int]
    running_since: dict[str, datetime]
    late: dict[str, int]
    queued: dict[str, int]


def platform(
    polled_at: datetime,
    deployments: tuple[DeploymentFacts, ...],
    pools: tuple[PoolFacts, ...],
    busy: tuple[RunFacts, ...],
    due: tuple[RunFacts, ...],
) -> Platform:
    """Gauges from what the API says.

    Args:
        polled_at: when it was asked.
        deployments: all.
        pools: all.
        busy: runs that hold a slot: pending, running or being cancelled.
        due: runs that should have begun some seconds ago.
    """
    running = [run for run in busy if run.running_since is not None]
    begins: dict[str, datetime] = {}
    for run in running:
        if run.running_since is not None:
            begins[run.flow_name] = min(run.running_since, begins.get(run.flow_name, run.running_since))
    late, queued = _late_and_queued(deployments, pools, busy, due)
    active = Counter({one.labels.flow_name: 0 for one in deployments})
    active.update(run.flow_name for run in running)
    return Platform(polled_at, deployments, pools, dict(active), begins, late, queued)


def _late_and_queued(
    deployments: Iterable[DeploymentFacts],
    pools: Iterable[PoolFacts],
    busy: tuple[RunFacts, ...],
    due: tuple[RunFacts, ...],
) -> tuple[dict[str, int], dict[str, int]]:
    """By work pool, the due runs that could have a slot, and those that could not."""
    free_of_deployment = {
        one.id: one.concurrency_limit - sum(run.deployment == one.id for run in busy)
        for one in deployments
        if one.concurrency_limit is not None
    }
    late, queued = {}, {}
    for pool in pools:
        waiting = [run for run in due if run.work_pool == pool.name]
        ready = 0
        for run in waiting:
            if run.state_name != AWAITING_SLOT and _take(free_of_deployment, run.deployment):
                ready += 1
        late[pool.name] = min(ready, _free_slots(pool, busy, ready))
        queued[pool.name] = len(waiting) - late[pool.name]
    return late, queued


def _take(free: dict[UUID, int], deployment: UUID | None) -> bool:
    """Take a slot of the deployment, where it has one or has no limit."""
    if deployment is None or deployment not in free:
        return True
    free[deployment] -= 1
    return free[deployment] >= 0


def _free_slots(pool: PoolFacts, busy: tuple[RunFacts, ...], wanted: int) -> int:
    if pool.paused:
        return 0
    if pool.concurrency_limit is None:
        return wanted
    return max(0, pool.concurrency_limit - sum(run.work_pool == pool.name for run in busy))
