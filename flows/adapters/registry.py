"""The adapters by name, the one place that lists them. Importing this imports no adapter."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from flows.adapters.protocol import Adapter
from flows.core.errors import ParameterError

ADAPTERS = {
    "sklearn": "flows.adapters.sklearn_sequential:SklearnAdapter",
    "sklearn_parallel": "flows.adapters.sklearn_parallel:SklearnParallelAdapter",
    "grid": "flows.adapters.grid:GridAdapter",
}
"""Name of each adapter -> "module:class"; the module is imported when the adapter is asked for."""


def adapter_names() -> tuple[str, ...]:
    """Names of the adapters there are."""
    return tuple(ADAPTERS)


def get_adapter(name: object) -> Adapter:
    """Import and make the adapter of that name.

    Raises:
        ParameterError: there is none; the message lists those there are.
    """
    if not isinstance(name, str) or name not in ADAPTERS:
        raise ParameterError(f"unknown adapter {name!r}; the adapters are: {', '.join(ADAPTERS)}")
    module, _, cls = ADAPTERS[name].partition(":")
    return cast(Adapter, getattr(import_module(module), cls)())
