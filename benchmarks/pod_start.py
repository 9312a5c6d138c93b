"""How long a flow run takes from its creation to its first log line in a pod, and where the time goes.

    eval "$(taxi-flows platform env)"; taxi-flows platform forward &
    python -m benchmarks.pod_start MONTH [--runs 20]

Runs `experiment_pipeline/default` one at a time with idle pools on the cluster of the current kube context.
benchmarks/results/pod_start.md gets the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

RESULT = Path(__file__).parent / "results" / "pod_start.md"
_HEAD = """\
# How runs start on a cluster

`experiment_pipeline/default` on a cluster of 2 CPUs, one run at a time: seconds from the flow run's creation,
median (p50) and 95th percentile (p95).
"""
NAMESPACE = "taxi-flows"
DEPLOYMENT = "experiment_pipeline/default"
END_SECONDS = 300
TARGET_P50_SECONDS, TARGET_P95_SECONDS = 7.0, 12.0


@dataclass(frozen=True)
class Start:
    """Moments of one run's start, in order. Kubernetes keeps whole seconds of the middle two."""

    created: datetime
    job: datetime
    container: datetime
    first_line: datetime
    running: datetime


STEPS: dict[str, Callable[[Start], float]] = {
    "the worker polls and makes the Job": lambda start: (start.job - start.created).total_seconds(),
    "Kubernetes starts the container": lambda start: (start.container - start.job).total_seconds(),
    "Python imports Prefect, to the first log line": lambda s: (s.first_line - s.container).total_seconds(),
    "**created to the first log line**": lambda start: (start.first_line - start.created).total_seconds(),
    "created to the flow's state Running": lambda start: (start.running - start.created).total_seconds(),
}


def kubectl(*arguments: str) -> str:
    """Stdout of kubectl in the namespace of flow runs."""
    done = subprocess.run(
        ["kubectl", "-n", NAMESPACE, *arguments],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def one(kind: str, run: FlowRun) -> Any:
    """The one object of a flow run; empty where there is none yet."""
    found = json.loads(kubectl("get", kind, "-l", f"prefect.io/flow-run-id={run.id}", "-o", "json"))["items"]
    return found[0] if found else {}


def container_state(run: FlowRun) -> Any:
    """State of the container of a flow run: waiting, running or terminated."""
    statuses = one("pods", run).get("status", {}).get("containerStatuses", [])
    return statuses[0]["state"] if statuses else {}


def measure(client: SyncPrefectClient, month: str) -> Start:
    """Start a run and wait for its end."""
    deployment = client.read_deployment_by_name(DEPLOYMENT)
    parameters = {"data_source": month, "eps": 0.1, "min_samples": 50}
    run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    deadline = time.monotonic() + END_SECONDS
    while "terminated" not in (state := container_state(run)):
        if time.monotonic() > deadline:
            raise SystemExit(f"flow run {run.id} did not end within {END_SECONDS} s; its container is {state}")
        time.sleep(0.5)
    run = client.read_flow_run(run.id)
    if run.state is None or not run.state.is_completed():
        raise SystemExit(f"flow run {run.id} ended as {run.state}")
    pod, job = one("pods", run), one("jobs", run)
    first = kubectl("logs", pod["metadata"]["name"], "--timestamps").split(maxsplit=1)[0]
    if run.created is None or run.start_time is None:
        raise SystemExit(f"flow run {run.id} has no times")
    return Start(
        created=run.created,
        job=moment(job["metadata"]["creationTimestamp"]),
        container=moment(state["terminated"]["startedAt"]),
        first_line=moment(first),
        running=run.start_time,
    )


def moment(text: str) -> datetime:
    """An RFC 3339 time, of which Python reads six digits of a second."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}+00:00")


def table(starts: list[Start]) -> str:
    """p50 and p95 of each step, seconds."""
    lines = [_HEAD, "| from a flow run's creation on | p50 | p95 |", "|---|--:|--:|"]
    for name, seconds_of in STEPS.items():
        cuts = quantiles((seconds_of(start) for start in starts), n=20, method="inclusive")
        lines.append(f"| {name} | {cuts[9]:.1f} s | {cuts[18]:.1f} s |")
    lines.append(f"| target | {TARGET_P50_SECONDS:.1f} s | {TARGET_P95_SECONDS:.1f} s |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("month")
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with get_client(sync_client=True) as client:
        measure(client, options.month)  # the image is on the node afterwards
        starts = [measure(client, options.month) for _ in range(options.runs)]
    RESULT.write_text(f"{table(starts)}\n")
    print(table(starts))


if __name__ == "__main__":
    main()
