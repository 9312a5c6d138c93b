"""`skaffold dev`: an edit reaches the next run, and Ctrl-C takes the stack away and leaves the data."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import REGISTRY, platform_env, skaffold
from tests.cluster.kube import FLOWS, PLATFORM, get, objects, wait_until
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("stack")]

EDITED = REPOSITORY / "flows" / "model" / "ranking.py"
MARK = "\n_EDITED_BY_A_TEST = True\n"
START_SECONDS, EDIT_SECONDS, STOP_SECONDS = 600, 180, 300


class Dev:
    """A running `skaffold dev`."""

    def __init__(self, log: Path) -> None:
        repo = ["--default-repo", REGISTRY] if REGISTRY else []
        self._log = log
        with log.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                ["skaffold", "dev", "--profile", "small", "--port-forward=off", *repo],
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def rounds(self) -> int:
        """How often all was deployed."""
        assert self.process.poll() is None, self._log.read_text(encoding="utf-8")[-4000:]
        return self._log.read_text(encoding="utf-8").count("Watching for changes...")


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    text = EDITED.read_text(encoding="utf-8")
    dev = Dev(tmp_path / "skaffold.log")
    try:
        wait_until(lambda: dev.rounds() == 1, "the first deployment", START_SECONDS)
        yield dev
    finally:
        EDITED.write_text(text, encoding="utf-8")
        if dev.process.poll() is None:
            dev.process.kill()
        skaffold("run")


def test_an_edit_is_deployed_and_ctrl_c_leaves_the_data(
    dev: Dev, record_property: Callable[[str, object], None]
) -> None:
    image = platform_env()["TAXI_IMAGE_EXPERIMENT"]
    platform = objects(PLATFORM, "pods")
    began = time.monotonic()
    EDITED.write_text(EDITED.read_text(encoding="utf-8") + MARK, encoding="utf-8")
    wait_until(lambda: dev.rounds() == 2, "the deployment of the edit", EDIT_SECONDS)
    record_property("an edit was deployed after", f"{time.monotonic() - began:.0f} s")
    assert platform_env()["TAXI_IMAGE_EXPERIMENT"] != image
    assert objects(PLATFORM, "pods") == platform, "the platform was not touched"
    kept = {(space, kind): objects(space, kind) for space in (PLATFORM, FLOWS) for kind in ("secrets", "pvc")}
    dev.process.send_signal(signal.SIGINT)
    dev.process.wait(STOP_SECONDS)
    assert get(PLATFORM, "deployments,statefulsets") == []
    assert {key: objects(*key) for key in kept} == kept
