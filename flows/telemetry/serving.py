"""The HTTP server of a service of ours: metrics for Prometheus, and health for Kubernetes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from flows.core.errors import ServingError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Check = Callable[[], bool]


class _Handler(WSGIRequestHandler):
    timeout = 30
    """Seconds after which a silent client is given up."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: probes come every few seconds."""


@contextmanager
def serving(port: int, registry: CollectorRegistry, healthy: Check, ready: Check) -> Iterator[int]:
    """Serve while the block runs; give the port, which is a free one where 0 was asked for.

    Raises:
        ServingError: the port is taken or may not be used.
    """
    app = application(registry, healthy, ready)
    try:
        server = make_server("", port, app, ThreadingWSGIServer, _Handler)
    except OSError as error:
        raise ServingError(
            f"port {port}: {error.strerror}. Name another: --port, or the setting of its name."
        ) from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def application(registry: CollectorRegistry, healthy: Check, ready: Check) -> WSGIApplication:
    """/metrics, /-/healthy and /-/ready."""
    show_metrics = make_wsgi_app(registry)
    checks = {"/-/healthy": healthy, "/-/ready": ready}

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return show_metrics(environ, start_response)  # type: ignore[no-any-return]
        status = "404 Not Found" if path not in checks else "200 OK" if checks[path]() else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{status.partition(' ')[2]}\n".encode()]

    return respond
