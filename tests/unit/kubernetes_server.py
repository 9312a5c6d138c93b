"""An API server with any number of Experiments, in pages and by a watch, as far as the operator asks for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from urllib.parse import parse_qs, urlsplit

from pydantic import JsonValue

PATH = "/apis/taxi.flows/v1alpha1/namespaces/ns/experiments"
MANAGED: JsonValue = [
    {"manager": "kubectl", "fieldsV1": {f"f:{key}": {".": {}, "f:a": {}, "f:b": {}} for key in range(20)}}
] * 2
Item = dict[str, object]


def experiment(number: int, phase: str = "Succeeded", **metadata: JsonValue) -> Item:
    """One as `kubectl apply` makes it; its run has ended, or has not yet begun."""
    uid = f"6f6a2ad2-9a34-4a49-a3d0-{number:012x}"
    when, kinds = "2026-01-02T03:04:05Z", ("Running", "Succeeded", "Failed")
    condition = {"status": "False", "reason": "Completed", "message": "", "lastTransitionTime": when}
    status: Item = {
        "observedGeneration": 1,
        "phase": phase,
        "flowRunId": uid,
        "startedAt": when,
        "finishedAt": when,
        "recordKey": "experiments/x.json",
        "conditions": [{"type": kind, **condition} for kind in kinds],
    }
    found: Item = {
        "apiVersion": "taxi.flows/v1alpha1",
        "kind": "Experiment",
        "metadata": {  # as large as kubectl makes it
            "namespace": "ns",
            "name": f"experiment-{number}",
            "uid": uid,
            "resourceVersion": "1",
            "generation": 1,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x" * 400},
            "managedFields": MANAGED,
            **metadata,
        },
        "spec": {"dataSource": "yellow_tripdata_2016-01.parquet", "eps": 0.1, "minSamples": 50},
        "status": status if phase != "Pending" else {},
    }
    return found


@dataclass
class Kubernetes:
    """items: by name. events: what the watch tells next; None ends it. asked: requests, by method and path."""

    url: str = ""
    items: dict[str, Item] = field(default_factory=dict)
    events: Queue[Item | None] = field(default_factory=Queue)
    asked: list[str] = field(default_factory=list)
    version: int = 1
    forgets: bool = False
    """Whether the next watch begins at a version that is gone."""

    def page(self, limit: int, first: int) -> Item:
        """As a list has it."""
        found = list(self.items.values())[first : first + limit]
        more = str(first + limit) if first + limit < len(self.items) else ""
        return {"items": found, "metadata": {"resourceVersion": str(self.version), "continue": more}}


@contextmanager
def kubernetes_server() -> Iterator[Kubernetes]:
    """Serve while the block runs."""
    state = Kubernetes()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield state
    finally:
        state.events.put(None)
        http.shutdown()
        http.server_close()
        thread.join()


def _handler(state: Kubernetes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            url, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
            name = url.path.removeprefix(PATH).strip("/")
            state.asked.append(f"{self.command} {url.path}{'?watch' if 'watch' in query else ''}")
            if not url.path.startswith(PATH):
                self.answer(404, b"404 page not found\n")
            elif name:
                self.one(name.removesuffix("/status"))
            elif "watch" in query:
                self.watch()
            else:
                self.answer(200, state.page(int(query["limit"][0]), int(query.get("continue", ["0"])[0])))

        def one(self, name: str) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            item = state.items.get(name)
            if item is None:
                self.answer(404, {"kind": "Status", "reason": "NotFound"})
            elif self.command == "DELETE":
                self.answer(200, state.items.pop(name))
            elif self.command == "PATCH":
                item["status"] = {**item["status"], **body["status"]}  # type: ignore[dict-item]
                self.answer(200, item)
            else:
                self.answer(200, item)

        do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server names them so

        def watch(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if state.forgets:
                state.forgets = False
                gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                self.chunk(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            else:
                while (event := state.events.get()) is not None:
                    self.chunk(json.dumps(event).encode() + b"\n")
            self.chunk(b"")

        def chunk(self, content: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.wfile.flush()

        def answer(self, code: int, body: object) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
