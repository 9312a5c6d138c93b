"""kubectl as the tests use it: plain calls, waiting for a condition, forwarding a port."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.conftest import REPOSITORY

PLATFORM, FLOWS = "taxi-platform", "taxi-flows"
"""The namespaces."""

Found = TypeVar("Found")


def run(*command: str, stdin: str | None = None, timeout_seconds: float = 300, check: bool = True) -> str:
    """Stdout of a command that is run from the repository's root; with check, a failure shows all that it printed."""
    done = subprocess.run(
        command, cwd=REPOSITORY, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_seconds
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout if check else done.stdout + done.stderr


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True, timeout_seconds: float = 300) -> str:
    """Stdout of kubectl in the current context; without check, stderr too."""
    return run("kubectl", *arguments, stdin=stdin, check=check, timeout_seconds=timeout_seconds)


def get(namespace: str, *arguments: str) -> Any:
    """What `kubectl get` finds, as an object; a list gives its items."""
    found = json.loads(kubectl("get", "-n", namespace, *arguments, "-o", "json"))
    return found.get("items", found)


def apply(*objects: dict[str, Any]) -> None:
    """Create or change objects."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def wait_until(
    look: Callable[[], Found | None], description: str, timeout_seconds: float, every_seconds: float = 1.0
) -> Found:
    """What `look` gives once it is neither None nor False; it fails after the time, naming what was waited for."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:.0f} s in vain for {description}")
        time.sleep(every_seconds)


@contextmanager
def forwarded(namespace: str, service: str, port: int) -> Iterator[str]:
    """127.0.0.1:PORT, which leads to a Service while the block lasts."""
    command = ["kubectl", "port-forward", "-n", namespace, f"service/{service}", f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert "Forwarding from" in line, f"{service}: {line}{process.stdout.read()}"
            yield line.split(" -> ")[0].rpartition(" ")[2]
        finally:
            process.kill()


RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(
    name: str, namespace: str, image: str, command: Sequence[str], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    """A restricted pod that runs one command with a read-only root and a volume on /tmp."""
    container = {
        "name": "main",
        "image": image,
        "command": list(command),
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  (in the pod)
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"test": name, **(labels or {})}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": RESTRICTED,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def run_pod(spec: dict[str, Any], timeout_seconds: float = 120) -> tuple[str, str]:
    """Phase and log of a pod that is run to its end and deleted."""
    name, namespace = spec["metadata"]["name"], spec["metadata"]["namespace"]
    kubectl("delete", "pod", name, "-n", namespace, "--ignore-not-found", "--wait")
    apply(spec)

    def ended() -> str | None:
        phase = get(namespace, "pod", name)["status"].get("phase")
        return phase if phase in {"Succeeded", "Failed"} else None

    try:
        phase = wait_until(ended, f"the end of pod {name}", timeout_seconds)
        return phase, kubectl("logs", name, "-n", namespace)
    finally:
        kubectl("delete", "pod", name, "-n", namespace, "--wait=false")
