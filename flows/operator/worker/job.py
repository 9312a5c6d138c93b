"""The Job of a flow run: what a worker makes of a work pool's template.

Sizes and TAXI_* settings come from deployment and run, as Prefect has it; all else is fixed in the template. The image
alone is the deployment's: `prefect.yaml` gives each flow the image that holds what it needs, and a run has no say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from flows.core.errors import ParameterError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Flow, FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse


class FlowRunJob(KubernetesWorkerJobConfiguration):  # type: ignore[misc]  # the package has no types
    """Prefect's configuration of a Job, with the image of the run's deployment."""

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: Flow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Fill in what is known of the run.

        Raises:
            ParameterError: the run asks for another image than its deployment's.
        """
        image = image_of(flow_run, deployment)
        if image is not None:
            _set_image(self.job_manifest, image)
        super().prepare_for_flow_run(flow_run, deployment, flow, work_pool, worker_name, worker_id)


def image_of(flow_run: FlowRun, deployment: DeploymentResponse | None) -> str | None:
    """The image that the deployment names; None where it names none, and the work pool's holds.

    Raises:
        ParameterError: the run asks for another one.
    """
    declared = (deployment.job_variables or {}).get("image") if deployment is not None else None
    wanted = (flow_run.job_variables or {}).get("image", declared)
    if wanted != declared:
        raise ParameterError(
            f"job variable image: a run has the image of its deployment, {declared or 'the one of its work pool'}, and "
            f"can't have {wanted}. Leave image out, or change the deployment in prefect.yaml."
        )
    return declared


def _set_image(job_manifest: dict[str, Any], image: str) -> None:
    container = job_manifest["spec"]["template"]["spec"]["containers"][0]
    container["image"] = image
    for variable in container.get("env", []):
        if variable["name"] == "TAXI_IMAGE":
            variable["value"] = image
