"""Where compiled kernels are kept, and for which processor, so that a fresh process compiles nothing.

numba keys its cache by processor model and features, so kernels are compiled for a stated baseline instead of the
machine at hand: an image that is built on one runs on another. It checks only the file of the outermost function for
changes, so the cache folder is named after the content of all kernel sources. And it fails at import where the cache
folder can't be written to, so a read-only one (an image's) is copied to the folder for temporary files.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

BASELINE = "x86-64-v3"
"""AVX2 and FMA: Intel since Haswell (2013), AMD since Excavator (2015)."""
BASELINE_FEATURES = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")

_SOURCES = Path(__file__).parent
_LOGGER = logging.getLogger(__name__)


def prepare_cache() -> None:
    """Set NUMBA_CPU_NAME, NUMBA_CPU_FEATURES and NUMBA_CACHE_DIR, unless set; call it before numba is imported."""
    _choose_cpu()
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(_writable_folder())
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()


def filled_folder() -> Path:
    """The package's own cache folder, filled when an image is built."""
    return _SOURCES / "__pycache__" / f"numba-{_digest()}"


def _choose_cpu() -> None:
    if "NUMBA_CPU_NAME" in os.environ or platform.machine().lower() not in {"x86_64", "amd64"}:
        return
    if missing := _missing_features():
        _LOGGER.warning(
            "this processor is older than %s (it lacks %s): kernels are compiled for it now, for a minute or two",
            BASELINE,
            ", ".join(missing),
        )
        return
    os.environ["NUMBA_CPU_NAME"] = BASELINE
    os.environ["NUMBA_CPU_FEATURES"] = ""  # those of the name; unset, numba would add the machine's own


def _missing_features() -> list[str]:
    from llvmlite import binding  # type: ignore[import-untyped]

    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM can't tell on this system
        return list(BASELINE_FEATURES)
    return [name for name in BASELINE_FEATURES if not features.get(name)]


def _writable_folder() -> Path:
    own = filled_folder()
    if _can_write(own):
        return own
    return _copy(own, Path(tempfile.gettempdir()) / f"taxi-flows-numba-{_user()}-{_digest()}")


def _copy(filled: Path, target: Path) -> Path:
    """Copy the filled cache to a folder that is nobody else's: what lies in it is run."""
    if target.is_symlink() or (target.exists() and not _is_ours(target)):
        target = Path(tempfile.mkdtemp(prefix=target.name))
    elif target.exists():
        return target
    fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    if filled.is_dir():
        shutil.copytree(filled, fresh, dirs_exist_ok=True, copy_function=shutil.copyfile)
        _make_ours(fresh)
    try:
        fresh.rename(target)
    except OSError:  # another process of ours was faster
        shutil.rmtree(fresh)
    return target


def _make_ours(folder: Path) -> None:
    """Undo the read-only modes that copytree copies for folders."""
    for path in (folder, *folder.rglob("*/")):
        path.chmod(0o700)


def _is_ours(folder: Path) -> bool:
    status = folder.stat()
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"
