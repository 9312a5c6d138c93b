"""A run has the image of its deployment, and no other."""

from __future__ import annotations

import asyncio
import copy
from typing import Any
from unittest.mock import create_autospec
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse

from flows.core.errors import ParameterError
from flows.operator.worker.job import FlowRunJob
from tests.unit.test_work_pools import pool

POOLS = "registry/evaluation:1"
DEPLOYMENTS = "registry/experiment:1"


def container_of(run: dict[str, Any] | None, deployment: dict[str, Any] | None) -> dict[str, Any]:
    """The container that a worker makes for a run with these job variables of run and deployment."""
    client = create_autospec(PrefectClient, instance=True)
    template = copy.deepcopy(pool("sequential").base_job_template)
    configuration = asyncio.run(
        FlowRunJob.from_template_and_values(template, {**(deployment or {}), **(run or {})}, client=client)
    )
    of = None
    if deployment is not None:
        of = DeploymentResponse(
            id=UUID(int=3), name="default", flow_id=UUID(int=2), job_variables=deployment, labels={}
        )
    configuration.prepare_for_flow_run(
        FlowRun(id=UUID(int=1), flow_id=UUID(int=2), name="brave-taxi", job_variables=run), of
    )
    (container,) = configuration.job_manifest["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize(
    ("run", "deployment", "image"),
    [
        ({}, {"image": DEPLOYMENTS}, DEPLOYMENTS),
        (None, {"image": DEPLOYMENTS}, DEPLOYMENTS),
        ({"image": DEPLOYMENTS, "memory": "3Gi"}, {"image": DEPLOYMENTS}, DEPLOYMENTS),
        ({}, {}, POOLS),
        ({}, None, POOLS),
    ],
)
def test_the_image_is_the_deployment_s_or_its_work_pool_s(
    run: dict[str, Any] | None, deployment: dict[str, Any] | None, image: str
) -> None:
    container = container_of(run, deployment)
    assert container["image"] == image
    assert {"name": "TAXI_IMAGE", "value": image} in container["env"]


@pytest.mark.parametrize("deployment", [{"image": DEPLOYMENTS}, {}, None])
def test_a_run_that_asks_for_another_image_is_refused(deployment: dict[str, Any] | None) -> None:
    with pytest.raises(
        ParameterError, match=r"image: a run has the image of its deployment.*can't have registry/sweep:1"
    ):
        container_of({"image": "registry/sweep:1"}, deployment)
