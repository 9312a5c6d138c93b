"""The registry names the adapters and imports each only when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flows.adapters.registry import adapter_names, get_adapter, is_parallel
from flows.core.errors import ParameterError


def test_every_registered_adapter_can_be_made_and_carries_its_name() -> None:
    for name in adapter_names():
        assert get_adapter(name).name == name


def test_sklearn_alone_uses_one_cpu() -> None:
    assert {name: is_parallel(name) for name in adapter_names()} == {
        "sklearn": False,
        "sklearn_parallel": True,
        "grid": True,
    }
    assert not is_parallel("dbscan")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"'dbscan'.*sklearn, sklearn_parallel"):
        get_adapter("dbscan")


def test_importing_the_registry_imports_no_heavy_library() -> None:
    code = (
        "import sys, flows.adapters.registry, flows.core.limits; "
        "print(*{'numpy', 'sklearn', 'numba', 'psutil'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
