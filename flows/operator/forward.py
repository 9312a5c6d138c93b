"""Port-forwards of the stack, by kubectl."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from flows.errors import ClusterError
from flows.operator.access import SERVICES, Service

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 5


def forward(context: str | None, namespace: str, say: Callable[[str], None]) -> None:
    """Forward the ports of the stack's services until Ctrl-C.

    Args:
        context: kube context; None: the current one.
        namespace: of the stack.
        say: told which address is which service.

    Raises:
        ClusterError: kubectl is missing, a port is taken, or a forward ends by itself.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ClusterError("kubectl is not on PATH. Install it: https://kubernetes.io/docs/tasks/tools/")
    _check_ports(SERVICES)
    with contextlib.ExitStack() as stack:
        running = {service: stack.enter_context(_forward(kubectl, context, namespace, service)) for service in SERVICES}
        for service in SERVICES:
            say(f"http://localhost:{service.local_port}  {service.name}")
        say("Ctrl-C ends it.")
        while all(process.poll() is None for process in running.values()):
            time.sleep(_LOOK_SECONDS)
        ended = ", ".join(service.name for service, process in running.items() if process.poll() is not None)
        raise ClusterError(
            f"the port-forward of {ended} ended, see above. Is its pod ready? kubectl get pods -n {namespace}"
        )


def _check_ports(services: Sequence[Service]) -> None:
    for service in services:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", service.local_port))
            except OSError as error:
                raise ClusterError(
                    f"port {service.local_port} ({service.name}) is taken: {error.strerror}. Stop what uses it; "
                    "`skaffold dev` forwards the same ports."
                ) from error


@contextlib.contextmanager
def _forward(kubectl: str, context: str | None, namespace: str, service: Service) -> Iterator[subprocess.Popen[bytes]]:
    ports = f"{service.local_port}:{service.port}"
    choice = () if context is None else ("--context", context)
    command = [kubectl, *choice, "-n", namespace, "port-forward", f"service/{service.name}", ports]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # no shell; our own arguments
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
