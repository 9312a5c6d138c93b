"""kubectl as the tests use it: plain calls, waiting for a condition, forwarding a port."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from flows.operator.cluster.kubectl import Kubectl
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


def as_person(environment: dict[str, str], *command: str, check: bool = True) -> str:
    """Stdout of a command with that environment and no other."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    return run("env", "-i", *settings, *command, check=check, timeout_seconds=300)


@contextmanager
def frozen(environment: dict[str, str], entry: str) -> Iterator[None]:
    """While it lasts the operator leaves an entry, as `deployment/NAME`, as a test makes it."""
    command = (sys.executable, "-m", "flows", "platform")
    as_person(environment, *command, "freeze", entry)
    try:
        yield
    finally:
        as_person(environment, *command, "unfreeze", entry)


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True, timeout_seconds: float = 300) -> str:
    """Stdout of kubectl in the current context; without check, stderr too."""
    return run("kubectl", *arguments, stdin=stdin, check=check, timeout_seconds=timeout_seconds)


def get(namespace: str, *arguments: str) -> Any:
    """What `kubectl get` finds, as an object; a list gives its items."""
    found = json.loads(kubectl("get", "-n", namespace, *arguments, "-o", "json"))
    return found.get("items", found)


def objects(namespace: str, kind: str) -> dict[str, str]:
    """Name of each object -> its uid; Helm's own are left out."""
    found = {one["metadata"]["name"]: one["metadata"]["uid"] for one in get(namespace, kind)}
    return {name: uid for name, uid in found.items() if not name.startswith("sh.helm.release")}


def apply(*wanted: dict[str, Any]) -> None:
    """Create or change objects."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)}))


RELEASE = "taxi-flows-platform"
"""The ConfigMap of what the release decides."""


def release() -> str:
    """What the release decides, as YAML."""
    return str(get(FLOWS, "configmap", RELEASE)["data"]["platform.yaml"])


def write_release(text: str) -> None:
    """Replace it in Helm's name: what a stranger changed would be a conflict at the next upgrade."""
    held = get(FLOWS, "configmap", RELEASE)
    metadata = {key: held["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    wanted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {**held["data"], "platform.yaml": text},
    }
    kubectl("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=json.dumps(wanted))


def wait_until(
    look: Callable[[], Found | None], description: str, timeout_seconds: float, every_seconds: float = 1.0
) -> Found:
    """What `look` gives once that is neither false nor empty; it fails after the time, naming what was waited for."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:.0f} s in vain for {description}")
        time.sleep(every_seconds)


@contextmanager
def forwarded(namespace: str, service: str, port: int) -> Iterator[str]:
    """127.0.0.1:PORT, which leads to a Service while the block lasts, also once its pod is another one.

    A forwarded port ends with the pod it leads to, and now and then by itself: it is opened again.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        local = free.getsockname()[1]
    ended = threading.Event()
    arguments = ("port-forward", f"service/{service}", f"{local}:{port}")
    command = Kubectl(None, namespace).command(arguments)

    def keep_open() -> None:
        while not ended.is_set():
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and not ended.wait(0.2):
                    pass
                process.terminate()
            ended.wait(0.5)

    keeper = threading.Thread(target=keep_open, daemon=True)
    keeper.start()
    try:
        wait_until(lambda: _accepts(local), f"the forwarded port of {service}", 60, 0.2)
        yield f"127.0.0.1:{local}"
    finally:
        ended.set()
        keeper.join(10)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


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
