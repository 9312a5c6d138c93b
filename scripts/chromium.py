"""A headless Chromium, driven by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

Message = dict[str, Any]

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_TIMEOUT_SECONDS = 60
_LISTENING = "DevTools listening on "


def find_chromium() -> str | None:
    """The browser's path, None where there is none."""
    return next((found for name in BINARIES if (found := shutil.which(name))), None)


@contextmanager
def browser(binary: str, profile: Path) -> Iterator[str]:
    """Start the browser with a new profile; gives the address of its debugger."""
    command = [binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    silent, read = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, stdout=silent, stderr=read, text=True) as process:  # noqa: S603
        lines = (line.strip() for line in process.stderr or ())
        try:
            yield next(line.removeprefix(_LISTENING) for line in lines if line.startswith(_LISTENING))
        finally:
            process.terminate()
            process.wait(_TIMEOUT_SECONDS)


class Page:
    """One tab; remembers what it asked of the network and what it complained about."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._last_id = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> Message:
        """Call a method of the protocol, and take in events until it answers."""
        self._last_id += 1
        message: Message = {"id": self._last_id, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=_TIMEOUT_SECONDS))
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: Message = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: Message) -> None:
        params = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(params["entry"]))
        elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def open(self, path: Path, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Open a file in a window of that size, and wait until its charts are drawn."""
        self.set_dark(dark)
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Page.navigate", url=path.as_uri())
        self.evaluate(
            """new Promise((resolve) => {
                const ready = () => document.documentElement?.dataset.ready
                    ? resolve(true) : requestAnimationFrame(ready);
                ready();
            })"""
        )

    def set_dark(self, dark: bool) -> None:
        """What the reader prefers."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def move_mouse(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, selector: str = "html") -> None:
        """Write a PNG of an element, which may be larger than the window."""
        clip = self.evaluate(
            f"""(() => {{
                const box = document.querySelector({selector!r}).getBoundingClientRect();
                const [x, y] = [box.x + scrollX, box.y + scrollY];
                return {{ x, y, width: box.width, height: box.height, scale: 1 }};
            }})()"""
        )
        taken = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def open_page(binary: str, profile: Path) -> Iterator[Page]:
    """A tab of a new browser."""
    with browser(binary, profile) as address, connect(address, max_size=None) as socket:
        yield Page(socket)
