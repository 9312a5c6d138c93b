"""Fill the cache with every kernel: `python -m flows.kernels`, when an image is built or after a kernel was edited."""

from __future__ import annotations

import importlib
import shutil
import sys
import time

from flows.kernels.cache import filled_folder

KERNEL_MODULES = (
    "flows.kernels.locate",
    "flows.kernels.collapse",
    "flows.kernels.grid",
    "flows.kernels.evaluation",
)
"""Each has a `warm_up()` that calls every kernel once, with the types that the steps and adapters pass."""


def main() -> None:
    """Compile or load every kernel, and drop the caches of former sources."""
    for name in KERNEL_MODULES:
        start = time.perf_counter()
        importlib.import_module(name).warm_up()
        sys.stdout.write(f"{name}: {time.perf_counter() - start:.1f} s\n")
    for folder in filled_folder().parent.glob("numba-*"):
        if folder != filled_folder():
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
