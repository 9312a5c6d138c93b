"""What the repository declares, and what is wrong with declarations."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.core.errors import DeclarationError
from flows.operator.prefect.declare import load_declared
from flows.operator.prefect.state import (
    MANAGED_TAG,
    AutomationState,
    ConcurrencyLimitState,
    DeploymentState,
    WorkPoolState,
)
from flows.operator.prefect.values import cpus, parse_values
from tests.conftest import REPOSITORY
from tests.unit.declarations import VALUES, values

Tree = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the declarations, to change."""
    shutil.copy(REPOSITORY / "prefect.yaml", tmp_path)
    for name in ("work-pools", "automations"):
        shutil.copytree(REPOSITORY / "k8s" / name, tmp_path / "k8s" / name)
    shutil.copy(REPOSITORY / "k8s" / "concurrency-limits.yaml", tmp_path / "k8s")
    return tmp_path


def change(file: Path, how: Callable[[Tree], object]) -> None:
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    how(tree)
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")


def test_the_repository_declares_pools_then_deployments_then_automations(folder: Path) -> None:
    declared = load_declared(folder, values())
    kinds = [type(state) for state in declared]
    assert kinds == [WorkPoolState] * 3 + [DeploymentState] * 11 + [AutomationState] * 3
    for state in declared:
        if isinstance(state, DeploymentState):
            assert MANAGED_TAG in state.tags
            assert str(state.job_variables["image"]).startswith("registry/")
            expected = "CANCEL_NEW" if state.schedules else ("ENQUEUE" if state.concurrency_limit else None)
            assert state.collision_strategy == expected


def test_each_flow_runs_from_the_image_that_holds_what_it_needs(folder: Path) -> None:
    images = {
        state.name: (state.work_pool_name, state.job_variables["image"])
        for state in load_declared(folder, values())
        if isinstance(state, DeploymentState)
    }
    assert images == {
        "experiment_pipeline/default": ("sequential", "registry/experiment:1"),
        "experiment_pipeline/parallel": ("parallel", "registry/experiment:1"),
        "evaluation_pipeline/default": ("sequential", "registry/evaluation:1"),
        "evaluation_pipeline/parallel": ("parallel", "registry/evaluation:1"),
        "parameter_sweep_flow/default": ("coordinator", "registry/sweep:1"),
        "compare_adapters_sweep_flow/default": ("coordinator", "registry/sweep:1"),
        "daily_adapter_comparison_flow/default": ("coordinator", "registry/sweep:1"),
        "weekly_parameter_sweep_flow/default": ("coordinator", "registry/sweep:1"),
        "sweep_cells_flow/sequential": ("sequential", "registry/evaluation:1"),
        "sweep_cells_flow/parallel": ("parallel", "registry/evaluation:1"),
        "aggregate_results_flow/default": ("coordinator", "registry/aggregate:1"),
    }


def test_the_release_decides_how_long_a_run_may_be_pending(folder: Path) -> None:
    within = {
        state.name: state.definition["trigger"]["within"]  # type: ignore[index,call-overload]
        for state in load_declared(folder, values(pendingLimitSeconds=345))
        if isinstance(state, AutomationState)
    }
    assert within == {"lost-submissions": 90.0, "pending-flow-runs": 345.0, "zombie-flow-runs": 180.0}


def test_an_automation_is_the_same_whatever_the_order_of_its_sets(folder: Path) -> None:
    """Python orders them anew in each process, so the server's order is not ours."""
    file = folder / "k8s" / "automations" / "pending-flow-runs.yaml"
    one = load_declared(folder, values())
    change(file, lambda tree: tree["trigger"]["expect"].reverse())
    assert load_declared(folder, values()) == one
    found = next(state for state in one if isinstance(state, AutomationState) and state.name == "pending-flow-runs")
    expected = found.definition["trigger"]["expect"]  # type: ignore[index,call-overload]
    assert list(expected) == sorted(expected)  # type: ignore[arg-type]


def test_the_build_step_knows_every_pool() -> None:
    tree = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text(encoding="utf-8"))
    ((step,),) = (one.values() for one in tree["build"])
    pools = yaml.safe_load((REPOSITORY / "k8s" / "work-pools" / "pools.yaml").read_text(encoding="utf-8"))
    assert set(step["work_pools"]) == {pool["name"] for pool in pools["work_pools"]}
    assert set(step["work_pools"]) == {one["work_pool"]["name"] for one in tree["deployments"]}


def test_a_concurrency_limit(folder: Path) -> None:
    limits = folder / "k8s" / "concurrency-limits.yaml"
    change(limits, lambda tree: tree["concurrency_limits"].append({"name": "tag:zones", "limit": 4}))
    found = [state for state in load_declared(folder, values()) if isinstance(state, ConcurrencyLimitState)]
    assert found == [ConcurrencyLimitState(name="tag:zones", limit=4, active=True, slot_decay_per_second=0)]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            lambda one: one["work_pool"].update(name="huge"),
            "unknown work pool huge; declared are coordinator, parallel",
        ),
        (lambda one: one["work_pool"]["job_variables"].update(memry="1Gi"), "unknown job variable memry"),
        (lambda one: one["work_pool"].update(job_variables={}), "no image"),
        (lambda one: one["work_pool"]["job_variables"].update(image="{{ images.nope }}"), "no image"),
        (lambda one: one.update(concurency_limit=1), "deployments.0.concurency_limit: unknown key"),
        (lambda one: one.update(tags=[]), "add the tag managed-by:taxi-flows"),
        (lambda one: one.update(entrypoint="flows.nowhere.flow"), "can't import flows.nowhere.flow"),
        (lambda one: one.update(entrypoint="flows.experiment_pipeline.nope"), "can't import .*nope"),
        (
            lambda one: one.update(schedules=[{"cron": "x", "timezone": "UTC", "active": True, "slug": "s"}]),
            "schedule s: .*[Cc]ron",
        ),
        (lambda one: one.update(name="parallel"), "deployment experiment_pipeline/parallel is declared twice"),
        (
            lambda one: one.update(concurrency_limit={"limit": 1, "collision_strategy": "DROP"}),
            "concurrency_limit.collision_strategy",
        ),
    ],
)
def test_a_deployment_that_is_wrong(how: Callable[[Tree], object], said: str, folder: Path) -> None:
    change(folder / "prefect.yaml", lambda tree: how(tree["deployments"][0]))
    with pytest.raises(DeclarationError, match=said):
        load_declared(folder, values())


@pytest.mark.parametrize(
    ("file", "how", "said"),
    [
        ("k8s/concurrency-limits.yaml", lambda tree: tree.update(limits=[]), "limits: unknown key"),
        ("k8s/automations/zombie-flow-runs.yaml", lambda tree: tree.update(trigers={}), "trigers: unknown key"),
        ("k8s/automations/zombie-flow-runs.yaml", lambda tree: tree.update(tags=[]), "add the tag"),
        ("prefect.yaml", lambda tree: tree.update(pull=[{"step": {}}]), "pull"),
    ],
)
def test_a_file_that_is_wrong(file: str, how: Callable[[Tree], object], said: str, folder: Path) -> None:
    change(folder / file, how)
    with pytest.raises(DeclarationError, match=said) as raised:
        load_declared(folder, values())
    assert Path(file).name in str(raised.value)


def test_files_that_are_missing_or_no_yaml(folder: Path) -> None:
    (folder / "prefect.yaml").write_text("deployments: [", encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"prefect.yaml: not YAML: .* line 1"):
        load_declared(folder, values())
    (folder / "prefect.yaml").unlink()
    with pytest.raises(DeclarationError, match=r"prefect.yaml: No such file.*--declarations"):
        load_declared(folder, values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wrokPools": {}}, "platform.yaml: wrokPools: unknown key"),
        ({"images": {"experiment": "a", "evaluation": "b", "sweep": "c"}}, "images.aggregate: Field required"),
        ({"images": {"experiment": "", "evaluation": "b", "sweep": "c", "aggregate": "d"}}, "images.experiment"),
        ({"environment": {"MINIO_SECURE": False}}, "environment.MINIO_SECURE"),
        ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy"),
    ],
)
def test_values_that_are_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        values(**changes)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"cpuLimit": "400m"}, "workPools.parallel: cpuLimit 400m is below cpuRequest 500m"),
        ({"cpuRequest": "half"}, "workPools.parallel.cpuRequest"),
        ({"memory": "lots"}, "workPools.parallel.memory"),
        ({"concurrencyLimit": 0}, "workPools.parallel.concurrencyLimit"),
        ({"cpus": "1"}, "workPools.parallel.cpus: unknown key"),
    ],
)
def test_sizes_that_are_wrong(size: dict[str, Any], said: str) -> None:
    tree = yaml.safe_load(VALUES)
    tree["workPools"]["parallel"].update(size)
    with pytest.raises(DeclarationError, match=said):
        parse_values(yaml.safe_dump(tree), "platform.yaml")


def test_cpus_of_a_quantity() -> None:
    assert [cpus(text) for text in ("100m", "1", "0.5", "2000m")] == [0.1, 1.0, 0.5, 2.0]
