"""`python -m flows` is `taxi-flows`: it also works where a script's first line can't hold the path."""

import sys
from pathlib import Path

# `-m` puts the working folder first, where a user's `random.py` may lie.
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from flows.cli import main

main(prog_name="taxi-flows")
