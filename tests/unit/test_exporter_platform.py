"""The gauges: which due runs are late, which only wait for a slot, what runs and since when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flows.telemetry.exporter.events import Labels
from flows.telemetry.exporter.platform import AWAITING_SLOT, DeploymentFacts, PoolFacts, RunFacts, platform

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
SWEEP = DeploymentFacts(UUID(int=1), Labels("parameter_sweep_flow", "default", "sequential"), NOW, None)
POOL = PoolFacts("sequential", False, 2, NOW)
WAITS = RunFacts("parameter_sweep_flow", SWEEP.id, "sequential", "Late")
RUNS = replace(WAITS, state_name="Running", running_since=NOW)


def late_and_queued(
    pool: PoolFacts, busy: int, due: tuple[RunFacts, ...], deployment: DeploymentFacts = SWEEP
) -> tuple[int, int]:
    found = platform(NOW, (deployment,), (pool,), (RUNS,) * busy, due)
    return found.late["sequential"], found.queued["sequential"]


def test_due_runs_are_late_only_where_a_slot_is_free() -> None:
    three = (WAITS,) * 3
    assert late_and_queued(POOL, 0, ()) == (0, 0)
    assert late_and_queued(POOL, 0, three) == (2, 1)
    assert late_and_queued(POOL, 1, three) == (1, 2)
    assert late_and_queued(POOL, 2, three) == (0, 3)
    assert late_and_queued(POOL, 3, three) == (0, 3)
    assert late_and_queued(replace(POOL, concurrency_limit=None), 5, three) == (3, 0)


def test_a_paused_pool_has_no_slot() -> None:
    assert late_and_queued(replace(POOL, paused=True, concurrency_limit=None), 0, (WAITS,)) == (0, 1)


def test_a_deployment_at_its_limit_waits() -> None:
    one_at_a_time = replace(SWEEP, concurrency_limit=1)
    assert late_and_queued(POOL, 1, (WAITS,), one_at_a_time) == (0, 1)
    assert late_and_queued(POOL, 0, (WAITS, WAITS), one_at_a_time) == (1, 1)
    assert late_and_queued(POOL, 0, (replace(WAITS, state_name=AWAITING_SLOT),)) == (0, 1)


def test_runs_of_another_pool_or_of_none_do_not_count() -> None:
    others = (replace(WAITS, work_pool="parallel"), replace(WAITS, work_pool=None))
    assert late_and_queued(POOL, 0, others) == (0, 0)


def test_active_flows_and_the_longest_of_them() -> None:
    early = replace(RUNS, running_since=NOW - timedelta(hours=1))
    pending = replace(WAITS, flow_name="aggregate_results_flow", state_name="Pending")
    found = platform(NOW, (SWEEP,), (POOL,), (RUNS, early, pending), ())
    assert found.active == {"parameter_sweep_flow": 2}
    assert found.running_since == {"parameter_sweep_flow": early.running_since}
    idle = platform(NOW, (SWEEP,), (POOL,), (), ())
    assert idle.active == {"parameter_sweep_flow": 0}
