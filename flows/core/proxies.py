"""Keeps proxies away from addresses of this machine; all others are reached as the environment says.

The clients of Prefect, MinIO and Prometheus read HTTP_PROXY and the like when they are made, and NO_PROXY with them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
SCHEMES = ("http", "https", "all")
_NAMES = ("no_proxy", "NO_PROXY")


def proxies() -> Mapping[str, str]:
    """The proxies in force, by scheme: of the environment, else of the system; `no` is the list of exceptions."""
    variables = {name.lower() for name, value in os.environ.items() if value}
    if sys.platform not in {"darwin", "win32"} and not any(f"{scheme}_proxy" in variables for scheme in SCHEMES):
        return {}  # without importing urllib.request, which takes longer than all else of a short command
    from urllib.request import getproxies

    return getproxies()


def bypass_proxies() -> None:
    """Except addresses of this machine from the proxies, for this process and those it starts."""
    found = proxies()
    exceptions = [name.strip() for name in found.get("no", "").split(",")]
    if "*" in exceptions or not any(scheme in found for scheme in SCHEMES):
        return
    for scheme in SCHEMES:  # those of the system count only as long as the environment says nothing
        if scheme in found and not _is_set(f"{scheme}_proxy"):
            os.environ[f"{scheme}_proxy"] = found[scheme]
    for name in [name for name in _NAMES if name in os.environ] or _NAMES:
        given = [one.strip() for one in os.environ.get(name, "").split(",") if one.strip()]
        os.environ[name] = ",".join([*given, *(one for one in THIS_MACHINE if one not in given)])


def drop_unusable_proxies() -> None:
    """Remove proxies from the environment that Prefect's client can't be made with, such as SOCKS without its package.

    It asks for a way to each proxy as soon as it is made, whichever address it then calls.
    """
    for scheme, address in proxies().items():
        if scheme in SCHEMES and fault(address) is not None:
            for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
                os.environ.pop(name, None)


def fault(address: str) -> str | None:
    """Why the HTTP client can't be made with a proxy; None where it can."""
    import httpx

    try:
        httpx.HTTPTransport(proxy=httpx.Proxy(address if "://" in address else f"http://{address}")).close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        return str(error)
    return None


def _is_set(name: str) -> bool:
    return any(name == variable.lower() for variable in os.environ)
