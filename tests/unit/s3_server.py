"""An S3 server on the loopback, and one in front of it that breaks things on request."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from minio import Minio
from moto.server import ThreadedMotoServer

KEYS = ("an-access-key", "a-secret-key")


@contextmanager
def s3_server(*buckets: str) -> Iterator[str]:
    """host:port of an empty server with these buckets."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"{host}:{port}"
        _forget_others(endpoint)
        client = Minio(endpoint, *KEYS, secure=False, region="us-east-1")
        for bucket in buckets:
            client.make_bucket(bucket)
        yield endpoint
    finally:
        server.stop()


def _forget_others(endpoint: str) -> None:
    """What a server of the same process held before: moto keeps it with the process."""
    with urllib.request.urlopen(urllib.request.Request(f"http://{endpoint}/moto-api/reset", method="POST")):
        pass


@dataclass
class Refusals:
    """Answers of a server that holds nothing: (status, S3 error code), the last one for ever; what it was asked."""

    answers: list[tuple[int, str]]
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""


@contextmanager
def refusing(*answers: tuple[int, str]) -> Iterator[Refusals]:
    """A server that answers with these errors."""
    state = Refusals(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append(f"{self.command} {self.path}")
            status, code = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            body = (
                f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if self.command != "HEAD" else b""
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = _refuse  # noqa: N815  (as http.server calls them)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.endpoint = f"127.0.0.1:{httpd.server_address[1]}"
    try:
        yield state
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
