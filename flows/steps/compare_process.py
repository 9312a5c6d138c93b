"""The parent's side of an adapter that runs in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import numpy as np

from flows.model.points import Clustering, Points
from flows.model.spec import ExperimentSpec
from flows.steps.compare_child import Answer, Ask

_PROGRAM = (
    f"import sys; sys.path.append({str(Path(__file__).resolve().parents[2])!r}); from pathlib import Path; "
    "from flows.steps.compare_child import main; main(Path(sys.argv[1]))"
)
COMMAND = (sys.executable, "-P", "-c", _PROGRAM)
"""Nothing of the working folder is imported (`-P`), where a user's `random.py` may lie."""

_END_SECONDS = 30.0


def share(points: Points, folder: Path) -> None:
    """Lay the points where adapters' processes map them into their memory."""
    np.save(folder / "xy_m.npy", points.xy_m)
    np.save(folder / "weights.npy", points.weights)


class AdapterProcess:
    """Starts a fresh process for the first fit, and another where one died."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> AdapterProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._end(self._process)

    def fit(self, spec: ExperimentSpec, n_jobs: int) -> Clustering | str:
        """Cluster the shared points there; the reason where that failed or ended the process."""
        if self._process is None:
            # Not multiprocessing: its children import the main script again, which starts the flow where the script
            # has no `if __name__ == "__main__"`.
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                [*COMMAND, str(self._folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        line = _ask(self._process, Ask(spec=spec, n_jobs=n_jobs))
        if not line:
            died, self._process = self._process, None
            return f"the process of adapter {spec.adapter_type} {_ending(self._end(died))}"
        answer = Answer.model_validate_json(line)
        if answer.fault is not None:
            return answer.fault
        return Clustering(
            labels=np.load(self._folder / "labels.npy"),
            core=np.load(self._folder / "core.npy"),
            n_jobs=answer.n_jobs,
            fit_seconds=answer.fit_seconds,
            cpu_seconds=answer.cpu_seconds,
            peak_memory_bytes=answer.peak_memory_bytes,
        )

    def _end(self, process: subprocess.Popen[str]) -> int:
        """Let a process end, and give its exit code."""
        with process:  # closes the pipes
            try:
                process.communicate(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.returncode


def _ask(process: subprocess.Popen[str], ask: Ask) -> str:
    """The answer's line, empty where the process ended."""
    if process.stdin is None or process.stdout is None:
        raise TypeError("the process was started without pipes")
    try:
        process.stdin.write(f"{ask.model_dump_json()}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}: the log says why"
    name = signal.Signals(-exit_code).name
    hint = ", as the kernel does where memory runs out" if -exit_code == signal.SIGKILL else ""
    return f"was killed by signal {name} (exit code {exit_code}){hint}"
