"""Runs cases in child processes, and tells what became of each."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

MAX_CPU_SECONDS = 10.0
MAX_START_CPU_SECONDS = 120.0
"""The first case of a process also imports everything, and compiles kernels once."""
MAX_WAIT_SECONDS = 300.0
"""For what waits instead of working; long, as the machine may be busy with something else."""

_POLL_SECONDS = 0.5

COMMAND = (sys.executable, "-m", "tests.fuzz.child")
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What became of a case. fault: None where it ended with a result or with an error of ours."""

    kind: str
    number: int
    refused: bool
    fault: str | None = None


class Child:
    """A process that runs one case after the other; a new one where it ended or was ended."""

    def __init__(self, kind: str, seed: int, folder: Path, command: tuple[str, ...] = COMMAND) -> None:
        self._kind = kind
        self._command = (*command, kind, str(seed), str(folder))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(self, number: int) -> Outcome:
        """Run one case."""
        fresh = self._process is None
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{number}\n".encode())
        process.stdin.flush()
        late = _wait(process, MAX_START_CPU_SECONDS if fresh else MAX_CPU_SECONDS)
        line = b"" if late else process.stdout.readline()
        if line:
            answer: str = json.loads(line)
            fault = answer.removeprefix("fault: ") if answer.startswith("fault: ") else None
            return Outcome(self._kind, number, answer.startswith("refused: "), fault)
        self._end()
        return Outcome(self._kind, number, False, late or f"the process ended with code {process.returncode}")

    def _start(self) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TAXI_", "MINIO_"))}
        environment = {**kept, "ARROW_DEFAULT_MEMORY_POOL": "system", "PREFECT_API_URL": ""}
        return subprocess.Popen(
            self._command,
            cwd=_REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            process.kill()


def _wait(process: subprocess.Popen[bytes], max_cpu_seconds: float) -> str | None:
    """Wait for an answer or the end; why there is none where it takes too long."""
    watched = psutil.Process(process.pid)
    answers = [] if process.stdout is None else [process.stdout]
    began, cpu_began = time.monotonic(), sum(watched.cpu_times()[:2])
    while not select.select(answers, [], [], _POLL_SECONDS)[0]:
        if sum(watched.cpu_times()[:2]) - cpu_began > max_cpu_seconds:
            return f"more than {max_cpu_seconds:g} s of CPU"
        if time.monotonic() - began > MAX_WAIT_SECONDS:
            return f"no answer within {MAX_WAIT_SECONDS:g} s"
    return None


def run_cases(kind: str, seed: int, numbers: Iterable[int], folder: Path) -> Iterator[Outcome]:
    """Run the cases of one kind."""
    with Child(kind, seed, folder) as child:
        for number in numbers:
            yield child.run(number)
