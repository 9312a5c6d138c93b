"""What is wrong is said at the first place that can know it."""

from __future__ import annotations

import os
import sys

import pytest

from tests.cluster.conftest import REGISTRY
from tests.cluster.kube import get, run
from tests.cluster.runs import Cluster, delete_job, nowhere, pod_of

pytestmark = pytest.mark.cluster


@pytest.mark.smoke
def test_an_empty_store_is_met_with_advice(cluster: Cluster) -> None:
    if list(cluster.store.list("taxi-data", "yellow")):
        pytest.skip("months are in the store already")
    run_of = cluster.finish(cluster.start("daily_adapter_comparison_flow/default", {}).id)
    assert run_of.state is not None
    assert run_of.state.is_failed()
    cluster.await_log(run_of.id, "taxi-flows data")


def test_a_storage_class_that_is_not_there_is_named_before_anything_is_installed(kube: None) -> None:
    repo = ["--default-repo", REGISTRY] if REGISTRY else []
    environment = {**os.environ, "TAXI_STORAGE_CLASS": "no-such-class"}
    settings = [f"{name}={value}" for name, value in environment.items()]
    done = run("env", "-i", *settings, "skaffold", "run", "--profile", "small", *repo, check=False, timeout_seconds=900)
    there = [one["metadata"]["name"] for one in get("default", "storageclasses")]
    assert "no-such-class" in done
    assert all(name in done for name in there)


def test_an_image_that_can_not_be_pulled_is_named_in_the_log_of_the_run(
    cluster: Cluster, months: tuple[str, ...], by_hand: dict[str, str]
) -> None:
    with nowhere(cluster, by_hand, "experiment_pipeline/default") as image:
        run_of = cluster.start("experiment_pipeline/default", {"data_source": months[0]})
        cluster.await_log(run_of.id, "ImagePull", 120)
        assert image in str(pod_of(run_of.id)["spec"])
    delete_job(run_of.id)
    done = cluster.finish(run_of.id, 240)
    assert done.state is not None
    assert done.state.is_crashed()


def test_apply_without_an_api_says_what_it_waited_for(kube: None) -> None:
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_API_AUTH_STRING": "a:b"}
    settings = [f"{name}={value}" for name, value in environment.items()]
    command = (sys.executable, "-m", "flows", "platform", "apply", "--wait-seconds", "3")
    done = run("env", "-i", *settings, *command, check=False)
    assert "http://127.0.0.1:9/api" in done
    assert "3 s" in done
