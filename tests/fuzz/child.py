"""The process in which cases are run: `python -m tests.fuzz.child KIND SEED FOLDER`.

Each line of standard input is a case's number, each line of the answer what came out of it, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from random import Random

MAX_BYTES = 1 << 30
"""What a case may take beyond what the process has when it starts with it."""


def case(kind: str, seed: int, number: int) -> tuple[bytes, Random]:
    """The input of a case, and the random source of what is done with it."""
    from tests.fuzz.kinds import KINDS

    random = Random(f"{kind}-{seed}-{number}")  # noqa: S311  (no secret)
    return KINDS[kind].make(random), random


def outcome(kind: str, seed: int, number: int, folder: Path) -> str:
    """`ok`, `refused: ` and the message, or `fault: ` and the traceback."""
    from flows.core.errors import TaxiFlowsError
    from tests.fuzz.kinds import KINDS

    content, random = case(kind, seed, number)
    try:
        KINDS[kind].run(content, folder, random)
    except TaxiFlowsError as error:
        return f"refused: {error}"
    except BaseException:  # noqa: BLE001  (whatever it is, it is what is looked for)
        return f"fault: {traceback.format_exc()}"
    return "ok"


def main(kind: str, seed: int, folder: Path) -> None:
    """Answer until there is nothing more to answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        own = Path(tempfile.mkdtemp(dir=folder))
        os.environ["TAXI_STORE_DIR"] = str(own / "store")
        _limit_memory()
        answers.write(json.dumps(outcome(kind, seed, int(line), own)) + "\n")
        answers.flush()
        shutil.rmtree(own, ignore_errors=True)


def _limit_memory() -> None:
    """Writable memory of its own, so mapped libraries and reserved addresses don't count."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
