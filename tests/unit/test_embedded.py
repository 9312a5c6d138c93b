"""The embedded server ends with whoever started it, holds none of its pipes, and imports nothing of its folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.cli.embedded import start_server
from flows.cli.prefect_server import locked
from flows.core.errors import PrefectServerError
from tests.conftest import REPOSITORY

SERVER = """
import signal
class Config:
    def __init__(self, *_, **__): pass
class Server:
    def __init__(self, config): pass
    def run(self, sockets):
        print("some output")
        {run}
"""
"""Stands in for uvicorn."""

PARENT = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from flows.cli.embedded import start_server
print(start_server().process.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def write(run: str) -> None:
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages" / "uvicorn.py").write_text(SERVER.format(run=run))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))

    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return write


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_the_server_ends_with_its_parent(how: signal.Signals, stand_in: Callable[[str], None]) -> None:
    stand_in("signal.pause()")
    command = [sys.executable, "-c", PARENT, str(REPOSITORY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        assert server.is_running()
        parent.send_signal(how)
        parent.communicate(timeout=60)  # nobody else holds the pipes
    wait_until(lambda: is_gone(server))


def test_a_server_that_heeds_no_signal_ends_too(stand_in: Callable[[str], None]) -> None:
    stand_in("signal.signal(signal.SIGTERM, signal.SIG_IGN); [signal.pause() for _ in range(9)]")
    command = [sys.executable, "-c", PARENT, str(REPOSITORY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_until(lambda: is_gone(server))


@pytest.mark.parametrize("more", ["", ":", ":."])
def test_nothing_is_imported_from_the_working_folder(
    more: str, stand_in: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("import random, prefect; raise SystemExit('FoundError: ' + random.__name__ + prefect.__name__)")
    (tmp_path / "packages" / "prefect.py").touch()
    here = tmp_path / "here"
    here.mkdir()
    for name in ("random", "prefect", "uvicorn", "socket"):
        (here / f"{name}.py").write_text("raise SystemExit('ImportError: from the working folder')")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'packages'}{more}")
    server = start_server()
    with pytest.raises(PrefectServerError, match="FoundError: randomprefect"):
        server.wait(say=print)
    server.stop()


def test_a_server_that_ends_says_why_in_one_sentence(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    stand_in("raise OSError(28, 'No space left on device')")
    server = start_server()
    said: list[str] = []
    with pytest.raises(PrefectServerError) as ended:
        server.wait(said.append)
    server.stop()
    assert "ended at its start: OSError: [Errno 28] No space left on device." in str(ended.value)
    assert str(tmp_path / "prefect") in str(ended.value)
    assert "Traceback" not in str(ended.value) + "".join(said)


async def _take(file: Path, stopped: bool) -> bool:
    async with locked(str(file), lambda: stopped):
        return True


def test_one_server_at_a_time_migrates_a_database(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with file.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SystemExit):
            asyncio.run(_take(file, stopped=True))
    assert asyncio.run(_take(file, stopped=True))


def test_the_lock_of_a_killed_server_blocks_nobody(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    holder = (
        f"import fcntl, signal; f = open({str(file)!r}, 'wb'); fcntl.flock(f, fcntl.LOCK_EX); print(); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-uc", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert asyncio.run(_take(file, stopped=False))
