"""An HTTP server whose answers are odd: a proxy's page, half an answer, another version's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = {"Content-Type": "application/json"}
HTML = b"<html>Please log in</html>"


@dataclass(frozen=True)
class Answer:
    """length: what Content-Length promises, where that is not so."""

    body: bytes = b"[]"
    code: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    length: int | None = None


ODD = {
    "html": Answer(HTML),
    "html as html": Answer(HTML, headers={"Content-Type": "text/html"}),
    "empty": Answer(b""),
    "null": Answer(b"null"),
    "number": Answer(b"7"),
    "text": Answer(b'"x"'),
    "object": Answer(b'{"detail": "x"}'),
    "list of null": Answer(b"[null]"),
    "cut JSON": Answer(b'[{"id": '),
    "cut": Answer(b"[{", length=100),
    "not UTF-8": Answer(b'["\xff\xfe"]'),
    "deep": Answer(b"[" * 100_000),
    "long number": Answer(b"[" + b"9" * 5000 + b"]"),
    "gzip": Answer(b"nonsense", headers={**JSON, "Content-Encoding": "gzip"}),
    "302": Answer(b"", 302, {"Location": "/again"}),
    "302 to nowhere": Answer(b"", 302, {"Location": "http://[::bad"}),
    "204": Answer(b"", 204),
    "400": Answer(HTML, 400),
    "401": Answer(HTML, 401),
    "403": Answer(b"{}", 403),
    "404": Answer(HTML, 404),
    "409": Answer(b"{}", 409),
    "410": Answer(b"{}", 410),
    "422": Answer(b'{"detail": []}', 422),
    "429": Answer(b"", 429, {"Retry-After": "3600"}),
    "429 until a date": Answer(b"", 429, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}),
    "500": Answer(HTML, 500),
    "503": Answer(b"", 503, {"Prefect-Maintenance": "true"}),
}


@dataclass
class Server:
    """Gives `answer` for every path but those of `paths`, and keeps what it was asked for."""

    url: str = ""
    answer: Answer = Answer()
    paths: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def odd_server() -> Iterator[Server]:
    """Serve while the block runs."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append(self.path)
            found = next((one for end, one in server.paths.items() if end in self.path), server.answer)
            self.send_response(found.code)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body) if found.length is None else found.length))
            self.end_headers()
            self.wfile.write(found.body)
            self.close_connection = True

        do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815 - http.server names them so

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def as_json(data: object) -> Answer:
    """A good answer."""
    return Answer(json.dumps(data).encode())
