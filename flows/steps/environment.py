"""Where and with what a process runs, as records keep it. Imports no library that a result depends on."""

from __future__ import annotations

import platform
from importlib import metadata

from flows import __version__
from flows.core.settings import Settings
from flows.model.records import Environment

LIBRARIES = (
    "joblib",
    "numba",
    "numpy",
    "pandas",
    "prefect",
    "pyarrow",
    "pyproj",
    "scikit-learn",
    "scipy",
    "shapely",
)
"""Distributions whose versions a result may depend on."""


def environment(settings: Settings, flow_run_id: str | None) -> Environment:
    """Where and with what this process runs; versions are those that are installed."""
    return Environment(
        taxi_flows=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        libraries={name: version for name in LIBRARIES if (version := _version(name)) is not None},
        image=settings.image,
        flow_run_id=flow_run_id,
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
