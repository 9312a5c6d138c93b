"""The process of the embedded Prefect server: flows.cli.embedded starts this file, which imports nothing of ours.

It ends with the process that started it, however that one ends, and a database is migrated by one
server at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

_LOOK_SECONDS = 0.25
_END_SECONDS = 1.5


def serve(listening: int, lock_file: str) -> None:
    """Serve until a signal comes.

    Args:
        listening: descriptor of a bound TCP socket.
        lock_file: held while the database is migrated; the kernel lets go of it where its holder is killed.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            async with locked(lock_file, lambda: self.should_exit):
                await super().startup(sockets)

    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    Server(config).run(sockets=[socket.socket(fileno=listening)])


@contextlib.asynccontextmanager
async def locked(file: str, stopped: Callable[[], bool]) -> AsyncIterator[None]:
    """Hold the lock of a file; SystemExit where `stopped` says so before it is free."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _try_lock(descriptor):
            if stopped():
                sys.exit()
            await asyncio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_with(parent: int) -> None:
    """Wait for the end of the process that started this one, and end: by then another one is this one's parent."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_SECONDS)
    os._exit(1)  # a start under way heeds no signal; what the database has not committed, it takes back


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(int(sys.argv[1]),), daemon=True).start()
    serve(int(sys.argv[2]), sys.argv[3])
