"""Which deployment runs an adapter: the one place that decides whether a run has one CPU or several."""

from __future__ import annotations

from typing import Literal

from flows.adapters.registry import is_parallel

AdapterFlow = Literal["experiment_pipeline", "evaluation_pipeline", "sweep_cells_flow"]
"""Flows that cluster in their own pod; prefect.yaml has two deployments of each."""

_ONE_CPU: dict[AdapterFlow, str] = {
    "experiment_pipeline": "default",
    "evaluation_pipeline": "default",
    "sweep_cells_flow": "sequential",
}


def deployment_of(flow: AdapterFlow, adapter: str) -> str:
    """The deployment `<flow>/<name>` in whose work pool an adapter runs.

    Args:
        flow: a flow that clusters in its own pod.
        adapter: name of an adapter. An unknown one has one CPU; the flow then refuses it.
    """
    return f"{flow}/{'parallel' if is_parallel(adapter) else _ONE_CPU[flow]}"
