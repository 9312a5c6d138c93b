"""Port-forwards of the stack, by kubectl."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from flows.core.errors import ClusterError
from flows.operator.access.people import SERVICES, Service
from flows.operator.cluster.kubectl import Kubectl

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 5


def forward(context: str | None, namespace: str, say: Callable[[str], None]) -> None:
    """Forward the ports of the stack's services until Ctrl-C or SIGTERM; the forwards end with it.

    Args:
        context: kube context; None: the current one.
        namespace: of the stack.
        say: told which address is which service.

    Raises:
        ClusterError: kubectl is missing, a port is taken, or a forward ends by itself.
    """
    kubectl = Kubectl(context, namespace)
    commands = {
        service: kubectl.command(("port-forward", f"service/{service.name}", f"{service.local_port}:{service.port}"))
        for service in SERVICES
    }
    _check_ports(SERVICES)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ending_on_signals())
        running = {service: stack.enter_context(_running(command)) for service, command in commands.items()}
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
def _ending_on_signals() -> Iterator[None]:
    """Turn signals that end a process at once into SystemExit, which leaves time to end the children."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # no shell; our own arguments
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
