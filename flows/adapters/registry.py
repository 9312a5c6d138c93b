"""The adapters by name, the one place that lists them. Importing this imports no adapter."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple, cast

from flows.adapters.protocol import Adapter
from flows.core.errors import ParameterError


class _Entry(NamedTuple):
    """`module:class`, imported when the adapter is asked for; `parallel`: whether its `fit` uses more than one CPU."""

    location: str
    parallel: bool


ADAPTERS = {
    "sklearn": _Entry("flows.adapters.sklearn_sequential:SklearnAdapter", parallel=False),
    "sklearn_parallel": _Entry("flows.adapters.sklearn_parallel:SklearnParallelAdapter", parallel=True),
    "grid": _Entry("flows.adapters.grid:GridAdapter", parallel=True),
}


def adapter_names() -> tuple[str, ...]:
    """Names of the adapters there are."""
    return tuple(ADAPTERS)


def is_parallel(name: str) -> bool:
    """Whether an adapter uses more than one CPU; False for an unknown name."""
    return name in ADAPTERS and ADAPTERS[name].parallel


def get_adapter(name: object) -> Adapter:
    """Import and make the adapter of that name.

    Raises:
        ParameterError: there is none; the message lists those there are.
    """
    if not isinstance(name, str) or name not in ADAPTERS:
        raise ParameterError(f"unknown adapter {name!r}; the adapters are: {', '.join(ADAPTERS)}")
    module, _, cls = ADAPTERS[name].location.partition(":")
    return cast(Adapter, getattr(import_module(module), cls)())
