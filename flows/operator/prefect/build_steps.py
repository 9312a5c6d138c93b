"""The build step of prefect.yaml, for `prefect deploy` by hand."""

from __future__ import annotations

import os
from functools import cache

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.operator.prefect.release import IMAGE_VARIABLES

INSTRUCTION = 'eval "$(taxi-flows platform env)"'


def image_references(work_pools: list[str]) -> dict[str, str | None]:
    """Image references from the environment, checked before anything is deployed.

    Prefect itself would put an empty reference where a variable is unset. Process pools need no image.

    Args:
        work_pools: the pools that the deployments name.

    Raises:
        SystemExit: a variable is unset and one of the pools starts containers.
    """
    references = {name: os.environ.get(variable) or None for name, variable in IMAGE_VARIABLES.items()}
    unset = [IMAGE_VARIABLES[name] for name, reference in references.items() if reference is None]
    containers = _kubernetes_pools(tuple(work_pools)) if unset else ()
    if containers:
        # Not an error of ours: Prefect would print its traceback through three layers, and bury the message.
        raise SystemExit(
            f"error: {', '.join(unset)} not set, and the work pools {', '.join(containers)} start containers. "
            f"Run: {INSTRUCTION}. Nothing was deployed."
        )
    return references


@cache  # Prefect runs the step once for each deployment
def _kubernetes_pools(work_pools: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in work_pools if _type_of(name) == "kubernetes")


def _type_of(work_pool: str) -> str | None:
    with get_client(sync_client=True) as client:
        try:
            return client.read_work_pool(work_pool).type
        except ObjectNotFound:
            return None  # the deployment that names it fails with that message
