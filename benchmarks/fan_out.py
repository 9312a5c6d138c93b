"""What it costs to spread a sweep over pods, and what its coordinator asks for.

    eval "$(taxi-flows platform env)"; taxi-flows platform forward &
    kubectl -n taxi-platform set env deployment/prefect-server PREFECT_SERVER_LOGGING_LEVEL=INFO  # it logs each call
    python -m benchmarks.fan_out MONTH [--runs 2]

Runs `parameter_sweep_flow` of 4 x 3 cells with idle pools on the cluster of the kube context: fanned out, and in
one pod with the same image as the pods of the cells, in turn. Then a sweep of 400 cells, fanned out, whose coordinator
is watched: its calls of Prefect's API by the server's log, its memory by the kubelet. Times are those from a flow run's
creation to its end, pods started in them. benchmarks/results/fan_out.md gets the tables.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

from benchmarks.pod_start import kubectl, one

RESULT = Path(__file__).parent / "results" / "fan_out.md"
_HEAD = """\
# A sweep over pods

A month of 3.6 million trips at taxi zones, on a cluster of 2 CPUs. Median seconds of the sweep's flow run from its
creation to its end, pods started in that time; the overhead is the difference.
"""
_COORDINATOR = """
What the coordinator of a large sweep asks of Prefect and of its pod:
"""
FANNED_OUT = "parameter_sweep_flow/default"
CELLS = "sweep_cells_flow/sequential"
END_SECONDS = 900
WATCH_SECONDS = 2.0
EPS_VALUES_KM, MIN_SAMPLES_VALUES = [0.3, 0.5, 0.7, 1.0], [5, 10, 15]
MANY_EPS_VALUES_KM = [round(0.1 + 0.05 * step, 2) for step in range(40)]
MANY_MIN_SAMPLES_VALUES = list(range(5, 55, 5))
TARGET_OVERHEAD_SECONDS, TARGET_CALLS_PER_SECOND, TARGET_MEMORY_MB = 30.0, 2.0, 400
_CALL = re.compile(r"(?P<address>\d+\.\d+\.\d+\.\d+):\d+ - \"(?:GET|POST|PATCH|PUT|DELETE) ")


@dataclass(frozen=True)
class Watched:
    """What a coordinator's pod took: seconds from first to last look, calls of Prefect's API, peak bytes."""

    seconds: float
    calls: int
    peak_bytes: int


def start(client: SyncPrefectClient, month: str, eps_km: list[float], min_samples: list[int], here: bool) -> FlowRun:
    """Create a flow run of the sweep; here: all its cells are done in its own pod, which is as a pod of cells."""
    deployment = client.read_deployment_by_name(FANNED_OUT)
    parameters = {"data_source": month, "eps_values": eps_km, "min_samples_values": min_samples}
    if not here:
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    cells = client.read_deployment_by_name(CELLS)
    whole = client.create_deployment(
        flow_id=deployment.flow_id,
        name="in-one-pod",
        entrypoint=deployment.entrypoint,
        work_pool_name=cells.work_pool_name,
        job_variables=cells.job_variables,
    )
    return client.create_flow_run_from_deployment(whole, parameters=parameters)


def finish(client: SyncPrefectClient, run: FlowRun, look: Callable[[FlowRun], None] = lambda run: None) -> FlowRun:
    """Wait for the end of a flow run, which must be Completed; look is called again and again meanwhile."""
    deadline = time.monotonic() + END_SECONDS
    while run.state is None or not run.state.is_final():
        if time.monotonic() > deadline:
            raise SystemExit(f"flow run {run.id} did not end within {END_SECONDS} s; its state is {run.state}")
        time.sleep(WATCH_SECONDS)
        look(run)
        run = client.read_flow_run(run.id)
    if not run.state.is_completed():
        raise SystemExit(f"flow run {run.id} ended as {run.state}")
    return run


def seconds(run: FlowRun) -> float:
    """From a flow run's creation to its end."""
    if run.created is None or run.end_time is None:
        raise SystemExit(f"flow run {run.id} has no times")
    return (run.end_time - run.created).total_seconds()


def memory_bytes(pod: str) -> int:
    """The working set of a pod now, as the kubelet counts it against its limit; 0 before the kubelet knows it."""
    node = json.loads(kubectl("get", "pod", pod, "-o", "json"))["spec"]["nodeName"]
    summary: Any = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    found = [stats["memory"] for stats in summary["pods"] if stats["podRef"]["name"] == pod and "memory" in stats]
    return int(found[0].get("workingSetBytes", 0)) if found else 0


def watch(client: SyncPrefectClient, month: str) -> Watched:
    """Run the large sweep and watch its coordinator."""
    peak_bytes, address = 0, ""

    def look(run: FlowRun) -> None:
        nonlocal peak_bytes, address
        pod = one("pods", run)
        if pod.get("status", {}).get("phase") == "Running":
            address = pod["status"]["podIP"]
            peak_bytes = max(peak_bytes, memory_bytes(pod["metadata"]["name"]))

    run = finish(client, start(client, month, MANY_EPS_VALUES_KM, MANY_MIN_SAMPLES_VALUES, here=False), look)
    if run.start_time is None or run.end_time is None:
        raise SystemExit(f"flow run {run.id} has no times")
    calls = calls_from(address, run)
    if not calls:
        raise SystemExit(f"Prefect's log has no call from {address}: set PREFECT_SERVER_LOGGING_LEVEL=INFO first.")
    return Watched((run.end_time - run.start_time).total_seconds(), calls, peak_bytes)


def calls_from(address: str, run: FlowRun) -> int:
    """Calls of Prefect's API that an address made since a flow run was created."""
    since = f"--since-time={run.created:%Y-%m-%dT%H:%M:%SZ}"
    log = kubectl("-n", "taxi-platform", "logs", "deployment/prefect-server", since)
    return sum(found["address"] == address for found in _CALL.finditer(log))


def tables(fanned_out: list[float], here: list[float], watched: Watched) -> str:
    """The medians of both ways, and what the coordinator took."""
    overhead = median(fanned_out) - median(here)
    n_cells = len(MANY_EPS_VALUES_KM) * len(MANY_MIN_SAMPLES_VALUES)
    return "\n".join(
        [
            _HEAD,
            f"| sweep of {len(EPS_VALUES_KM)} x {len(MIN_SAMPLES_VALUES)}, {len(here)} times each "
            "| in one pod | over pods | overhead | target |",
            "|---|--:|--:|--:|--:|",
            f"| from its creation to its end | {median(here):.1f} s | {median(fanned_out):.1f} s | {overhead:.1f} s "
            f"| {TARGET_OVERHEAD_SECONDS:.0f} s |",
            _COORDINATOR,
            f"| coordinator of a sweep of {n_cells} | in {watched.seconds:.0f} s | target |",
            "|---|--:|--:|",
            f"| calls of Prefect a second | {watched.calls / watched.seconds:.2f} | {TARGET_CALLS_PER_SECOND:.0f} |",
            f"| memory at peak | {watched.peak_bytes / 1e6:.0f} MB | {TARGET_MEMORY_MB} MB |",
        ]
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("month")
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    times: dict[bool, list[float]] = {True: [], False: []}
    with get_client(sync_client=True) as client:
        for turn in range(options.runs + 1):
            for here in (True, False):
                run = finish(client, start(client, options.month, EPS_VALUES_KM, MIN_SAMPLES_VALUES, here))
                if turn:  # the first turn only brings the images to the node
                    times[here].append(seconds(run))
        watched = watch(client, options.month)
    text = tables(times[False], times[True], watched)
    RESULT.write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    main()
