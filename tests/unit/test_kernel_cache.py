"""A fresh process compiles nothing: not on a read-only root, without the right to write there, without HOME."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import flows.kernels
from flows.adapters.grid import GridAdapter
from flows.kernels import cache

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_FOWNER = 24, 1, 3
PROBE = """
import os, sys
sys.path.insert(0, {root!r})
from flows.kernels import grid, grid_cells, grid_core, grid_join, grid_labels, grid_sort
assert grid.__file__.startswith({root!r})
grid.warm_up()
hits = misses = 0
for module in (grid_cells, grid_core, grid_join, grid_labels, grid_sort):
    for kernel in vars(module).values():
        if hasattr(kernel, "stats") and kernel.__module__ == module.__name__:
            hits += sum(kernel.stats.cache_hits.values())
            misses += sum(kernel.stats.cache_misses.values())
try:
    open({root!r} + "/flows/kernels/__pycache__/x", "w")
except OSError:
    print(hits, misses, os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.fixture
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with a filled cache, read-only as in an image."""
    GridAdapter().load()
    root = tmp_path_factory.mktemp("image")
    package = Path(flows.kernels.__file__).parent
    (root / "flows").mkdir()
    (root / "flows" / "__init__.py").touch()
    shutil.copytree(package, root / "flows" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    source = Path(os.environ["NUMBA_CACHE_DIR"])
    assert source.is_dir()
    target = root / "flows" / "kernels" / "__pycache__" / cache.filled_folder().name
    # numba names the folder of a module after its path, which an image keeps and this copy does not.
    from numba.core.caching import _CacheLocator

    name = _CacheLocator.get_suitable_cache_subpath(str(root / "flows" / "kernels" / "grid.py"))
    own = _CacheLocator.get_suitable_cache_subpath(str(package / "grid.py"))
    shutil.copytree(source / own, target / name)
    for path in (root, *root.rglob("*")):
        path.chmod(stat.S_IREAD | stat.S_IRGRP | stat.S_IROTH | (0o111 if path.is_dir() else 0))
    return root


def bound_by_modes() -> None:
    """Take from root what lets it write to read-only files; other users have no such thing."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_FOWNER):
        if os.getuid() == 0 and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError("can't drop root's capability")


def probe(root: Path, tmp_path: Path) -> tuple[int, int, str]:
    code = PROBE.format(root=str(root))
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=bound_by_modes,
    )
    assert done.returncode == 0, done.stderr
    hits, misses, folder = done.stdout.split()
    return int(hits), int(misses), folder


def test_a_read_only_package_is_loaded_from_a_copy_of_its_cache(image: Path, tmp_path: Path) -> None:
    hits, misses, folder = probe(image, tmp_path)
    assert misses == 0
    assert hits >= 8
    assert Path(folder).parent == tmp_path
    assert Path(folder).stat().st_mode & 0o077 == 0
    again = probe(image, tmp_path)
    assert again == (hits, 0, folder)


def test_a_folder_of_somebody_else_is_not_used(image: Path, tmp_path: Path) -> None:
    _, _, folder = probe(image, tmp_path)
    shutil.rmtree(folder)
    Path(folder).mkdir()
    Path(folder).chmod(0o777)  # anyone could put code there
    hits, misses, other = probe(image, tmp_path)
    assert (hits >= 8, misses) == (True, 0)
    assert other != folder


def test_the_baseline_is_set_before_numba_is_imported() -> None:
    code = (
        "import flows.kernels, numba;"
        "from numba.core.registry import cpu_target;"
        "print(*cpu_target.target_context.codegen().magic_tuple()[1:], sep='|')"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {f"{cache.BASELINE}|", done.stdout.strip() if cache._missing_features() else ""}


def test_an_older_processor_is_named_and_left_to_numba(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(cache, "_missing_features", lambda: ["avx2"])
    cache._choose_cpu()
    assert "older than x86-64-v3 (it lacks avx2)" in caplog.text
    assert "NUMBA_CPU_NAME" not in os.environ


def test_other_machines_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    cache._choose_cpu()
    assert "NUMBA_CPU_NAME" not in os.environ


def test_an_edit_of_any_kernel_source_makes_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("a")
    monkeypatch.setattr(cache, "_SOURCES", tmp_path)
    before = cache.filled_folder()
    (tmp_path / "two.py").write_text("b")
    assert cache.filled_folder() != before
