"""kubectl, for what streams: commands in pods, port-forwards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.core.errors import ClusterError


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one context and namespace. context: None for the current one."""

    context: str | None
    namespace: str

    def run(self, *arguments: str, stdin: Path | None = None, stdout: Path | None = None) -> str:
        """What the command prints, which goes into a file where one is named.

        Raises:
            ClusterError: kubectl is missing, or the command failed.
        """
        with (stdin or Path("/dev/null")).open("rb") as given:
            if stdout is None:
                done = subprocess.run(self.command(arguments), stdin=given, capture_output=True, check=False)  # noqa: S603
            else:
                with stdout.open("wb") as taken:
                    done = subprocess.run(  # noqa: S603  # no shell; our own arguments
                        self.command(arguments), stdin=given, stdout=taken, stderr=subprocess.PIPE, check=False
                    )
        if done.returncode != 0:
            raise ClusterError(
                f"kubectl {' '.join(arguments[:3])} ended with {done.returncode}: {done.stderr.decode().strip()[-500:]}"
            )
        return (done.stdout or b"").decode()

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[str]:
        """127.0.0.1:PORT, which leads to a Service while the block lasts.

        Raises:
            ClusterError: the port-forward does not start.
        """
        command = self.command(("port-forward", f"service/{service}", f":{port}"))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
            try:
                line = process.stdout.readline() if process.stdout is not None else ""
                address, arrow, _ = line.partition(" -> ")
                if not arrow:
                    raise ClusterError(f"the port-forward of {service} did not start: {line.strip() or 'no output'}")
                yield address.rpartition(" ")[2]
            finally:
                process.terminate()

    def command(self, arguments: tuple[str, ...]) -> list[str]:
        """The whole command line.

        Raises:
            ClusterError: kubectl is missing.
        """
        program = shutil.which("kubectl")
        if program is None:
            raise ClusterError("kubectl is not on PATH. Install it: https://kubernetes.io/docs/tasks/tools/")
        choice = () if self.context is None else ("--context", self.context)
        return [program, *choice, "--namespace", self.namespace, *arguments]
