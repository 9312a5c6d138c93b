"""A Prefect API for flows that are run from the command line without a server.

Prefect starts one by itself, but imports the whole server into the calling process to do so, one thing after the other.
Here the server starts in its own process while the caller imports what it needs and reads its data.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from flows.errors import PrefectServerError

START_TIMEOUT_SECONDS = 180
"""A first start migrates an empty database, which takes half a minute on a slow machine."""

_POLL_SECONDS = 0.05


def start_prefect_api(say: Callable[[str], None]) -> Callable[[], None]:
    """Make sure that there is a Prefect API for the rest of the process; call it before prefect is imported.

    With an API configured (PREFECT_API_URL, or a Prefect profile) nothing is started. Else a server starts in the
    background and PREFECT_API_URL names it. It ends with the process, after Prefect has sent it the last events:
    functions registered with atexit run last in, first out.

    Args:
        say: is told what is waited for.

    Returns:
        A function that waits until the API answers, to call just before the first flow; it raises PrefectServerError
        where the server ended or did not answer in time.
    """
    if _configured():
        return lambda: None
    port = _free_port()
    server = _start_server(port)
    atexit.register(_stop, server)
    url = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = url
    return lambda: _wait(server, url, say)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _configured() -> bool:
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    if "prefect" not in sys.modules and not (home / "profiles.toml").exists():
        return False
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start_server(port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    return subprocess.Popen(  # noqa: S603  (nothing of the command comes from outside)
        [*uvicorn, *options], env=environment, stdout=sys.stderr, start_new_session=True
    )


def _wait(server: subprocess.Popen[bytes], url: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    told = False
    while not _answers(url):
        waited_seconds = time.monotonic() - started
        if server.poll() is not None:
            raise PrefectServerError(
                f"Prefect's embedded server ended with code {server.returncode}: its message stands above. "
                "`taxi-flows doctor` checks the set-up; PREFECT_API_URL names a running server to use instead."
            )
        if waited_seconds > START_TIMEOUT_SECONDS:
            raise PrefectServerError(
                f"Prefect's embedded server did not answer within {START_TIMEOUT_SECONDS} s at {url}: "
                "try again, or start `prefect server start` and set PREFECT_API_URL."
            )
        if not told and waited_seconds > _POLL_SECONDS:
            say("Waiting for Prefect's embedded server to start (the first start creates its database) ...")
            told = True
        time.sleep(_POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:  # noqa: S310  (our own http address)
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
