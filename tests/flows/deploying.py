"""`prefect deploy` by hand, and a server without what earlier tests left on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL

from tests.conftest import REPOSITORY


def deploy(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `prefect deploy` with nobody there to answer a question."""
    api = PREFECT_API_URL.value()
    assert api is not None
    return subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PREFECT_API_URL": api, "PREFECT_HOME": str(home), "DO_NOT_TRACK": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def empty(client: SyncPrefectClient) -> None:
    """Delete all deployments, work pools, limits and automations."""
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    for pool in client.read_work_pools():
        client.delete_work_pool(pool.name)
    for limit in client.read_global_concurrency_limits():
        client.delete_global_concurrency_limit_by_name(limit.name)
    for automation in client.read_automations():
        client.delete_automation(automation.id)
