"""A local HTTP server of a few files, with ranges and with faults on request."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What the server holds, does and has seen.

    files: body by path. etag: of every file. ranges: whether Range is heeded. head_size: announced instead of the true
    size. faults: what the next GETs do: a status to answer with, "cut" to close after half of the bytes, or "".
    requests: "METHOD path first-byte" of every request.
    """

    files: dict[str, bytes]
    etag: str | None = '"v1"'
    ranges: bool = True
    head_size: int | None = None
    faults: list[int | str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(server: FileServer) -> Iterator[FileServer]:
    """Run the server in a thread."""

    class Handler(_Handler):
        state = server

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: FileServer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.state.requests.append(f"HEAD {self.path} 0")
        body = self.state.files.get(self.path)
        if body is None:
            self._answer(404, {"Content-Length": "0"})
            return
        size = len(body) if self.state.head_size is None else self.state.head_size
        self._answer(200, {"Content-Length": str(size)})

    def do_GET(self) -> None:
        body = self.state.files.get(self.path)
        if body is None:
            self._answer(404, {"Content-Length": "0"})
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        resumes = wanted is not None and self.state.ranges and self.headers.get("If-Range") == self.state.etag
        first = int(wanted[1]) if wanted is not None and resumes else 0
        self.state.requests.append(f"GET {self.path} {first}")
        fault = self.state.faults.pop(0) if self.state.faults else None
        if isinstance(fault, int):
            self._answer(fault, {"Content-Length": "0"})
            return
        headers = {"Content-Length": str(len(body) - first)}
        if resumes:
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        self._answer(206 if resumes else 200, headers)
        with suppress(ConnectionError):  # a client may leave as soon as it sees the size
            self.wfile.write(body[first : first + (len(body) - first) // 2] if fault == "cut" else body[first:])

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        if self.state.etag is not None:
            self.send_header("ETag", self.state.etag)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
