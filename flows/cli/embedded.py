"""A Prefect API for flows that are run from the command line without a server.

Prefect starts one by itself, but imports the whole server into the calling process to do so, one thing after the other.
Here the server starts in its own process (flows.cli.prefect_server) while the caller imports what it needs and reads
its data.
"""

from __future__ import annotations

import atexit
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flows.cli.prefect_home import check_prefect_home, prefect_home
from flows.core.errors import PrefectServerError
from flows.core.proxies import bypass_proxies, drop_unusable_proxies

START_TIMEOUT_SECONDS = 180
"""A first start migrates an empty database, which takes half a minute on a slow machine."""

_POLL_SECONDS = 0.05
_STOP_SECONDS = 10
_PROGRAM = Path(__file__).with_name("prefect_server.py")
_LOCK = "taxi-flows-start.lock"
_ERROR_LINE = re.compile(r"^(?!Traceback)[\w.]*(?:Error|Exception|Exit|Interrupt)\b.*")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Server:
    """A server that was started. output: what it prints, in a file without a name: the caller's pipes are not its."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path
    output: BinaryIO

    def wait(self, say: Say) -> None:
        """Wait until the API answers.

        Raises:
            PrefectServerError: the server ended, or did not answer in time.
        """
        started = time.monotonic()
        told = False
        while not _answers(self.url):
            waited_seconds = time.monotonic() - started
            if self.process.poll() is not None:
                raise PrefectServerError(self._ended(say))
            if waited_seconds > START_TIMEOUT_SECONDS:
                raise PrefectServerError(
                    f"Prefect's embedded server did not answer within {START_TIMEOUT_SECONDS} s at {self.url}: "
                    "try again, or start `prefect server start` and set PREFECT_API_URL."
                )
            if not told and waited_seconds > _POLL_SECONDS:
                say("Waiting for Prefect's embedded server to start (the first start creates its database) ...")
                told = True
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()

    def _ended(self, say: Say) -> str:
        self.output.seek(0)
        lines = self.output.read().decode(errors="replace").splitlines()
        if os.environ.get("TAXI_DEBUG", "") not in {"", "0", "false"}:
            say("\n".join(lines))
        errors = [line for line in lines if _ERROR_LINE.match(line)]
        reason = (errors or lines or [f"exit code {self.process.returncode}"])[-1].strip()
        return (
            f"Prefect's embedded server ended at its start: {reason}. Its folder is {str(self.home)!r}: set "
            "PREFECT_HOME to another one, or PREFECT_API_URL to a running server. TAXI_DEBUG=1 shows what it printed."
        )


def start_prefect_api(say: Say) -> Callable[[], None]:
    """Make sure that there is a Prefect API for the rest of the process; call it before prefect is imported.

    With an API configured (PREFECT_API_URL, or a Prefect profile) nothing is started. Else a server starts in the
    background and PREFECT_API_URL names it. It ends with the process, after Prefect has sent it the last events:
    functions registered with atexit run last in, first out.

    Args:
        say: is told what is waited for.

    Returns:
        A function that waits until the API answers, to call just before the first flow; it raises PrefectServerError
        where the server ended or did not answer in time.

    Raises:
        SettingsError: PREFECT_HOME can't be used.
    """
    if configured_api() is not None:
        return lambda: None
    bypass_proxies()
    drop_unusable_proxies()
    server = start_server()
    atexit.register(server.stop)
    os.environ["PREFECT_API_URL"] = server.url
    return lambda: server.wait(say)


def try_server() -> str | None:
    """Start a server, wait until it answers, and stop it.

    Returns:
        None; the address of an API that is configured, in which case none was started.

    Raises:
        SettingsError: PREFECT_HOME can't be used.
        PrefectServerError: the server ended, or did not answer in time.
    """
    url = configured_api()
    if url is None:
        server = start_server()
        try:
            server.wait(lambda _: None)
        finally:
            server.stop()
    return url


def configured_api() -> str | None:
    """The API that PREFECT_API_URL or a Prefect profile names.

    Raises:
        SettingsError: nobody knows the home directory.
    """
    home = prefect_home()
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if "prefect" not in sys.modules and not (home / "profiles.toml").exists():
        return None
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() or None


def start_server() -> Server:
    """Start a server; it ends with this process at the latest.

    Raises:
        SettingsError: PREFECT_HOME can't be used.
    """
    home = check_prefect_home()
    environment = {
        **_without_working_folder(os.environ),
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    output = tempfile.TemporaryFile(dir=home)  # noqa: SIM115  (closed when the server is stopped)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))  # the server listens; until then nobody else can take the port
        descriptor = listening.fileno()
        process = subprocess.Popen(  # noqa: S603  (nothing of the command comes from outside)
            [sys.executable, "-P", str(_PROGRAM), str(os.getpid()), str(descriptor), str(home / _LOCK)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[descriptor],
            start_new_session=True,
        )
        port: int = listening.getsockname()[1]
    return Server(process, f"http://127.0.0.1:{port}/api", home, output)


def _without_working_folder(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment whose PYTHONPATH does not lead to the working folder, where a user's `random.py` may lie.

    An empty entry means that folder. Python's option `-P` leaves out what it adds by itself.
    """
    kept = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    if others := [entry for entry in entries if os.path.realpath(entry) != os.path.realpath("")]:
        kept["PYTHONPATH"] = os.pathsep.join(others)
    return kept


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
