"""Data outlives upgrades, uninstalls and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.conftest import opened_store, platform_env, skaffold
from tests.cluster.kube import FLOWS, PLATFORM, get, objects, run, wait_until
from tests.cluster.prometheus import ask
from tests.cluster.runs import Cluster, flow_run_state
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("stack")]

RULES = REPOSITORY / "charts" / "prometheus" / "files" / "rules"
SETTING = {"eps": 0.1, "min_samples": 50}


def secrets_of_people() -> dict[str, str]:
    """What `taxi-flows platform env` prints, but for the images of the release."""
    return {name: value for name, value in platform_env().items() if not name.startswith("TAXI_IMAGE_")}


def test_an_upgrade_changes_no_secret_and_loses_nothing(cluster: Cluster, months: tuple[str, ...]) -> None:
    run_of = cluster.complete("experiment_pipeline/default", {"data_source": months[0], **SETTING})
    before = {kind: objects(PLATFORM, kind) for kind in ("secrets", "persistentvolumeclaims")}
    passwords = secrets_of_people()
    skaffold("run")
    assert {kind: objects(PLATFORM, kind) for kind in before} == before
    assert secrets_of_people() == passwords
    assert record_keys()
    assert flow_run_state(str(run_of.id)) == "COMPLETED"


def test_a_reinstallation_finds_all_data() -> None:
    before = {
        (namespace, kind): objects(namespace, kind)
        for namespace in (PLATFORM, FLOWS)
        for kind in ("secrets", "persistentvolumeclaims")
    }
    records = record_keys()
    run("make", "down", timeout_seconds=600)
    assert get(PLATFORM, "statefulsets,deployments") == []
    assert {key: objects(*key) for key in before} == before
    skaffold("run")
    assert record_keys() == records


def test_a_changed_alert_rule_reaches_prometheus() -> None:
    file = sorted(RULES.glob("*.y*ml"))[0]
    text = file.read_text()
    marked = text.replace("alert: ", "alert: Marked", 1)
    assert marked != text
    try:
        file.write_text(marked)
        skaffold("run")
        wait_until(lambda: "Marked" in str(ask("rules")), "the changed rule in Prometheus", 120)
    finally:
        file.write_text(text)
        skaffold("run")
    wait_until(lambda: "Marked" not in str(ask("rules")), "the rule as it was", 120)


def test_a_backup_restores_records_and_runs(cluster: Cluster, months: tuple[str, ...], tmp_path: Path) -> None:
    run_of = cluster.complete("experiment_pipeline/default", {"data_source": months[0], **SETTING})
    (kept,) = cluster.records("experiments", run_of.id)
    run("make", "backup", f"DIR={tmp_path}/backup", timeout_seconds=600)
    with opened_store("minio-flows") as store:
        store.delete("taxi-experiments", kept["key"])
    assert kept["key"] not in record_keys()
    run("make", "restore", f"DIR={tmp_path}/backup", "FORCE=1", timeout_seconds=900)
    assert kept["key"] in record_keys()
    assert flow_run_state(str(run_of.id)) == "COMPLETED"


def record_keys() -> list[str]:
    """Keys of all records, with the flows' own rights."""
    with opened_store("minio-flows") as store:
        return [one.key for one in store.list("taxi-experiments", "experiments/") if one.key.endswith(".json")]
