"""`python -m tests.fuzz`: run cases of every kind, print a table, and keep the inputs of faults."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.child import case
from tests.fuzz.kinds import KINDS
from tests.fuzz.parent import Outcome, run_cases

FAULTS = Path("build/fuzz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 1 where a case was at fault."""
    options = _parser().parse_args(arguments)
    kinds = options.kind or list(KINDS)
    numbers = range(-(-options.cases // len(kinds))) if options.only is None else [options.only]
    faults = 0
    print(f"{'kind':10}{'cases':>8}{'read':>8}{'refused':>9}{'faults':>8}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="taxi-fuzz-") as folder:
        for kind in kinds:
            counts: Counter[str] = Counter()
            for found in run_cases(kind, options.seed, numbers, Path(folder)):
                counts["fault" if found.fault else "refused" if found.refused else "read"] += 1
                if found.fault:
                    _tell(found, options.seed)
            print(f"{kind:10}{counts.total():8}{counts['read']:8}{counts['refused']:9}{counts['fault']:8}", flush=True)  # noqa: T201
            faults += counts["fault"]
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Mutated inputs against every reader.")
    parser.add_argument("--cases", type=int, default=1000, help="Cases in all, of all kinds.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed.")
    parser.add_argument("--kind", choices=KINDS, action="append", help="Of this kind alone; may be repeated.")
    parser.add_argument("--only", type=int, help="The case of this number alone.")
    return parser


def _tell(found: Outcome, seed: int) -> None:
    FAULTS.mkdir(parents=True, exist_ok=True)
    path = FAULTS / f"{seed}-{found.number}.{found.kind}"
    path.write_bytes(case(found.kind, seed, found.number)[0])
    print(f"fault: --kind {found.kind} --seed {seed} --only {found.number} ({path})\n{found.fault}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
