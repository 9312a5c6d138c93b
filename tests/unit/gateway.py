"""A stub of the Pushgateway, on the loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """(name, labels without job and instance) -> value, of what begins with taxi_experiment_."""
    return {
        (
            one.name,
            tuple(sorted((key, value) for key, value in one.labels.items() if key not in {"job", "instance"})),
        ): (one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name.startswith("taxi_experiment_")
    }


class Gateway:
    """A stub that keeps what is PUT, and answers with a status."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.groups = status, dict[str, Samples]()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                stub.groups[self.path] = samples(body)
                self.send_response(stub.status)
                self.end_headers()
                self.wfile.write(b"no such thing")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def a_gateway() -> Iterator[Gateway]:
    """A gateway that runs while the block does."""
    stub = Gateway()
    thread = threading.Thread(target=stub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        stub.server.shutdown()
        thread.join()
        stub.server.server_close()
