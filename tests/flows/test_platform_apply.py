"""`taxi-flows platform apply` against a Prefect server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.cli import main
from flows.core.errors import PrefectApiError
from flows.operator.prefect.api import prefect_client
from tests.conftest import REPOSITORY
from tests.flows.deploying import deploy, empty
from tests.unit.declarations import VALUES

IMAGES = {f"TAXI_IMAGE_{name.upper()}": image for name, image in yaml.safe_load(VALUES)["images"].items()}
DAILY = "daily_adapter_comparison_flow/default"
COUNT = 18
"""Of the objects that the folder declares: three pools, a limit, eleven deployments, three automations."""


@pytest.fixture(scope="module")
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client
        empty(client)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the declarations with one more limit, a values file and an inventory file."""
    shutil.copy(REPOSITORY / "prefect.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "k8s", tmp_path / "k8s")
    limits = {"concurrency_limits": [{"name": "tag:zones", "limit": 4}]}
    (tmp_path / "k8s" / "concurrency-limits.yaml").write_text(yaml.safe_dump(limits), encoding="utf-8")
    (tmp_path / "platform.yaml").write_text(VALUES, encoding="utf-8")
    monkeypatch.setenv("TAXI_PLATFORM_FILE", str(tmp_path / "platform.yaml"))
    monkeypatch.setenv("TAXI_INVENTORY_FILE", str(tmp_path / "inventory.json"))
    return tmp_path


@pytest.fixture
def applied(client: SyncPrefectClient, folder: Path) -> Path:
    """The folder, after its first apply on an empty server."""
    empty(client)
    assert counts(run(folder)) == {"create": COUNT, "update": 0, "delete": 0, "unchanged": 0, "frozen": 0}
    return folder


def run(folder: Path, *arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(main, ["platform", "apply", "--declarations", str(folder), *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


def counts(output: str) -> dict[str, int]:
    (line,) = (line for line in output.splitlines() if line.startswith("create: "))
    return {name: int(count) for name, count in (one.split(": ") for one in line.split(", "))}


def changed(output: str) -> set[str]:
    """What isn't unchanged: `action kind name`."""
    lines = [line.split() for line in output.splitlines() if line.startswith(("create ", "update ", "delete "))]
    return {" ".join(line) for line in lines}


def change(file: Path, how: Callable[[dict[str, Any]], object]) -> None:
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    how(tree)
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")


def is_there(read: Callable[[str], object], name: str) -> bool:
    try:
        return read(name) is not None
    except ObjectNotFound:
        return False


def test_the_second_time_nothing_changes(client: SyncPrefectClient, applied: Path) -> None:
    before = client.read_deployment_by_name(DAILY)
    assert counts(run(applied)) == {"create": 0, "update": 0, "delete": 0, "unchanged": COUNT, "frozen": 0}
    after = client.read_deployment_by_name(DAILY)
    assert [one.id for one in after.schedules] == [one.id for one in before.schedules]
    assert after.updated == before.updated


def test_what_the_server_holds_then(client: SyncPrefectClient, applied: Path) -> None:
    pool = client.read_work_pool("parallel")
    assert (pool.type, pool.concurrency_limit) == ("kubernetes", 1)
    assert pool.base_job_template["variables"]["properties"]["cpu_limit"]["default"] == "2"
    (automation,) = client.read_automations_by_name("zombie-flow-runs")
    assert (automation.enabled, automation.tags) == (True, ["managed-by:taxi-flows"])
    held = client.read_deployment_by_name(DAILY)
    assert [schedule.active for schedule in held.schedules] == [True]
    assert held.global_concurrency_limit is not None
    assert held.concurrency_options is not None
    assert held.concurrency_options.collision_strategy == "CANCEL_NEW"


def comparable(held: DeploymentResponse) -> dict[str, Any]:
    """All of it but what differs by nature between two deployments of one kind."""
    own = {"id", "created", "updated", "last_polled", "status", "schedules", "global_concurrency_limit"}
    # Prefect stores null where no pull step was ever declared and [] where one was taken away; neither pulls anything.
    fields = held.model_dump(mode="json", exclude=own | {"pull_steps", "work_queue_id", "flow_id"})
    fields["schedules"] = [(one.slug, one.active, one.schedule, one.parameters) for one in held.schedules]
    fields["limit"] = held.global_concurrency_limit and held.global_concurrency_limit.limit
    return fields


def everything(client: SyncPrefectClient) -> list[dict[str, Any]]:
    held = sorted(client.read_deployments(), key=lambda one: (one.entrypoint or "", one.name))
    return [comparable(one) for one in held]


def test_deploy_by_hand_gives_the_same(client: SyncPrefectClient, applied: Path, tmp_path: Path) -> None:
    by_apply = everything(client)
    over_it = deploy(tmp_path, "--all", **IMAGES)
    assert over_it.returncode == 0, over_it.stderr
    assert counts(run(applied, "--dry-run")) == {"create": 0, "update": 0, "delete": 0, "unchanged": COUNT, "frozen": 0}
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    anew = deploy(tmp_path, "--all", **IMAGES)
    assert anew.returncode == 0, anew.stderr
    assert everything(client) == by_apply
    assert counts(run(applied)) == {"create": 0, "update": 0, "delete": 0, "unchanged": COUNT, "frozen": 0}


def test_deploy_by_hand_without_an_image_changes_nothing(
    client: SyncPrefectClient, applied: Path, tmp_path: Path
) -> None:
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    some = {name: image for name, image in IMAGES.items() if name != "TAXI_IMAGE_AGGREGATE"}
    done = deploy(tmp_path, "--all", **some, TAXI_IMAGE_AGGREGATE="")
    assert done.returncode != 0
    assert "TAXI_IMAGE_AGGREGATE not set" in done.stderr
    assert "TAXI_IMAGE_EXPERIMENT" not in done.stderr
    assert 'eval "$(taxi-flows platform env)"' in done.stderr
    assert client.read_deployments() == []


def drift(client: SyncPrefectClient) -> dict[str, Callable[[], object]]:
    """What someone may do by hand, by what apply then says of it."""
    daily = client.read_deployment_by_name(DAILY)
    template = client.read_work_pool("parallel").base_job_template
    template["variables"]["properties"]["cpu_limit"]["default"] = "64"
    another = DeploymentScheduleCreate(schedule=CronSchedule(cron="* * * * *"), active=True)
    (automation,) = client.read_automations_by_name("zombie-flow-runs")
    return {
        f"update deployment {DAILY}": lambda: client.update_deployment_schedule(
            daily.id, daily.schedules[0].id, active=False
        ),
        "update work-pool parallel": lambda: client.update_work_pool(
            "parallel", WorkPoolUpdate(base_job_template=template)
        ),
        "update work-pool sequential": lambda: client.update_work_pool("sequential", WorkPoolUpdate(is_paused=True)),
        "create deployment evaluation_pipeline/default": lambda: client.delete_deployment(
            client.read_deployment_by_name("evaluation_pipeline/default").id
        ),
        "update deployment evaluation_pipeline/parallel": lambda: client.create_deployment_schedules(
            client.read_deployment_by_name("evaluation_pipeline/parallel").id,
            [(another.schedule, another.active)],
        ),
        "update concurrency-limit tag:zones": lambda: client.update_global_concurrency_limit(
            "tag:zones", GlobalConcurrencyLimitUpdate(limit=99)
        ),
        "update automation zombie-flow-runs": lambda: client.pause_automation(automation.id),
    }


def test_drift_is_healed(client: SyncPrefectClient, applied: Path) -> None:
    acts = drift(client)
    for act in acts.values():
        act()
    output = run(applied)
    assert changed(output) == set(acts)
    assert "variables.properties.cpu_limit.default: '64' -> '2'" in output
    assert counts(run(applied)) == {"create": 0, "update": 0, "delete": 0, "unchanged": COUNT, "frozen": 0}
    assert [one.active for one in client.read_deployment_by_name(DAILY).schedules] == [True]
    assert client.read_deployment_by_name("evaluation_pipeline/parallel").schedules == []


def test_a_dry_run_changes_nothing(client: SyncPrefectClient, folder: Path) -> None:
    empty(client)
    output = run(folder, "--dry-run")
    assert counts(output)["create"] == COUNT
    assert "Dry run: nothing was changed." in output
    assert client.read_work_pools() == []
    assert client.read_deployments() == []
    assert not (folder / "inventory.json").exists()


def test_pruning_keeps_to_the_inventory(client: SyncPrefectClient, applied: Path) -> None:
    template = client.read_work_pool("parallel").base_job_template
    client.create_work_pool(WorkPoolCreate(name="strangers", type="kubernetes", base_job_template=template))
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="strangers", limit=1))
    client.create_automation(
        AutomationCore.model_validate(
            {
                "name": "strangers",
                "trigger": {"type": "event", "posture": "Reactive", "expect": ["x"], "threshold": 1, "within": 0},
                "actions": [{"type": "do-nothing"}],
            }
        )
    )
    change(applied / "prefect.yaml", lambda tree: tree["deployments"].pop())
    change(applied / "k8s" / "concurrency-limits.yaml", lambda tree: tree["concurrency_limits"].clear())
    (applied / "k8s" / "automations" / "zombie-flow-runs.yaml").unlink()
    gone = {
        "delete deployment aggregate_results_flow/default",
        "delete concurrency-limit tag:zones",
        "delete automation zombie-flow-runs",
    }
    assert changed(run(applied, "--dry-run")) == gone
    assert changed(run(applied)) == gone
    assert not is_there(client.read_deployment_by_name, "aggregate_results_flow/default")
    assert not is_there(client.read_global_concurrency_limit_by_name, "tag:zones")
    assert is_there(client.read_work_pool, "strangers")
    assert is_there(client.read_global_concurrency_limit_by_name, "strangers")
    assert sorted(one.name for one in client.read_automations()) == [
        "lost-submissions",
        "pending-flow-runs",
        "strangers",
    ]
    assert changed(run(applied)) == set()


def test_an_automation_that_was_made_twice_is_one_again(client: SyncPrefectClient, applied: Path) -> None:
    (automation,) = client.read_automations_by_name("zombie-flow-runs")
    client.create_automation(AutomationCore.model_validate(automation.model_dump(exclude={"id"})))
    assert changed(run(applied)) == {"create automation zombie-flow-runs"}
    assert len(client.read_automations_by_name("zombie-flow-runs")) == 1
    assert changed(run(applied)) == set()


def test_what_another_made_just_now_is_an_error_that_says_so(client: SyncPrefectClient, applied: Path) -> None:
    held = client.read_work_pool("parallel")
    again = WorkPoolCreate(name=held.name, type=held.type, base_job_template=held.base_job_template)
    with pytest.raises(PrefectApiError, match="just now"), prefect_client() as other:
        other.create_work_pool(again)


def test_another_release_has_other_images(client: SyncPrefectClient, applied: Path) -> None:
    change(applied / "platform.yaml", lambda tree: tree["images"].update(experiment="registry/experiment:2"))
    output = run(applied)
    assert changed(output) == {
        "update deployment experiment_pipeline/default",
        "update deployment experiment_pipeline/parallel",
    }
    assert "job_variables.image: 'registry/experiment:1' -> 'registry/experiment:2'" in output
    held = client.read_deployment_by_name("experiment_pipeline/default")
    assert held.job_variables == {"image": "registry/experiment:2"}


def test_bad_input_is_refused_before_any_change(client: SyncPrefectClient, folder: Path) -> None:
    empty(client)
    change(folder / "prefect.yaml", lambda tree: tree["deployments"][-1]["work_pool"].update(name="huge"))
    output = run(folder, exit_code=2)
    assert "unknown work pool huge" in output
    assert client.read_work_pools() == []


def test_an_api_that_does_not_answer(folder: Path) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        output = run(folder, "--wait-seconds", "1", exit_code=1)
    assert "Waiting for Prefect's API at http://127.0.0.1:1/api" in output
    assert "error: waited 1 s for Prefect's API at http://127.0.0.1:1/api: [Errno 111]" in output
