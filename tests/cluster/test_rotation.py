"""Keys and passwords are renewed while runs go on, by k8s/rotate-secrets.sh, and no run fails of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flows.core.errors import StoreError
from tests.cluster.conftest import connected, opened_store, platform_env
from tests.cluster.faults import BOUND_SECONDS, EXPERIMENT, LONG_GRID, SETTING, SWEEP, until_a_child_runs
from tests.cluster.kube import run
from tests.cluster.runs import Cluster

pytestmark = pytest.mark.cluster


def rotate(*what: str, check: bool = True) -> str:
    return run("k8s/rotate-secrets.sh", *what, check=check, timeout_seconds=BOUND_SECONDS)


@contextmanager
def sweep_under_way(cluster: Cluster, month: str) -> Iterator[None]:
    """A sweep whose cells run when the block begins, and which completes after it."""
    started = cluster.start(SWEEP, {"data_source": month, **LONG_GRID})
    until_a_child_runs(cluster, started.id)
    yield
    with connected(platform_env()) as again:
        done = again.finish(started.id, BOUND_SECONDS)
        assert done.state is not None
        assert done.state.is_completed(), done.state


def a_new_run_completes(month: str) -> None:
    with connected(platform_env()) as again:
        again.complete(EXPERIMENT, {"data_source": month, **SETTING})


def test_former_and_new_keys_of_minio_overlap(cluster: Cluster, months: tuple[str, ...]) -> None:
    with opened_store("minio-people") as former:
        with sweep_under_way(cluster, months[0]):
            rotate("minio")
            assert "still have the former keys" in rotate("minio", "--finish", check=False)
            assert "Remove it first" in rotate("minio", check=False)
        a_new_run_completes(months[0])
        assert former.stat("taxi-data", months[0]) is not None
        rotate("minio", "--finish")
        with pytest.raises(StoreError):
            former.stat("taxi-data", months[0])
    a_new_run_completes(months[0])


def test_the_database_has_a_new_password_while_a_sweep_goes_on(cluster: Cluster, months: tuple[str, ...]) -> None:
    with sweep_under_way(cluster, months[0]):
        rotate("postgres")
    a_new_run_completes(months[0])


def test_prefect_has_a_new_password_once_runs_have_ended(cluster: Cluster, months: tuple[str, ...]) -> None:
    before = platform_env()["PREFECT_API_AUTH_STRING"]
    with sweep_under_way(cluster, months[0]):
        rotate("prefect")
    assert platform_env()["PREFECT_API_AUTH_STRING"] != before
    a_new_run_completes(months[0])
