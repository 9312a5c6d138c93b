"""Says what of the configuration works, and how to mend what does not."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from typing import TYPE_CHECKING, NamedTuple

import httpx

from flows.core.errors import StoreAccessError, TaxiFlowsError
from flows.core.proxies import SCHEMES, proxies
from flows.core.proxies import fault as proxy_fault

if TYPE_CHECKING:
    from flows.core.settings import Settings
    from flows.store import ObjectStore

_TIMEOUT_SECONDS = 5.0
_PROBE_BYTES = 8 << 20
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_ALL = "read and write"


class Check(NamedTuple):
    """One line of the doctor's findings.

    name: what was looked at. ok: whether it works. found: what is there. mend: what to do, where there is something.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine(settings: Settings) -> tuple[Check, ...]:
    """Look at everything that a run uses."""
    return (
        check_store(settings),
        check_prefect_api(settings),
        check_pushgateway(settings),
        check_proxies(),
        check_zone_table(settings),
        check_temporary_files(),
        check_resources(settings),
    )


def check_store(settings: Settings) -> Check:
    """Write, read and delete a small object in each bucket; where the keys may only read, list."""
    from flows.store import open_store

    try:
        store = open_store(settings, patient=False)
        rights = {bucket: _rights(store, bucket) for bucket in (settings.data_bucket, settings.experiments_bucket)}
    except TaxiFlowsError as error:
        return Check("Store", False, str(error))
    if "" in rights.values():
        return Check("Store", False, f"{store.describe()} gives back other bytes than were put", "Check its disk.")
    limited = ", ".join(f"{bucket}: {right}" for bucket, right in rights.items() if right != _ALL)
    return Check("Store", True, store.describe() + (f" ({limited})" if limited else ""))


def _rights(store: ObjectStore, bucket: str) -> str:
    """What a person may do there; empty where it gives back other bytes than were put."""
    key = f"doctor-probe-{uuid.uuid4().hex}"
    content = key.encode()
    try:
        store.put_bytes(bucket, key, content)
    except StoreAccessError:
        next(iter(store.list(bucket, key)), None)
        return "read only"
    try:
        return _ALL if store.get_bytes(bucket, key) == content else ""
    finally:
        store.delete(bucket, key)


def check_prefect_api(settings: Settings) -> Check:
    """Ask the configured Prefect API for its health and, where it wants a password, whether ours is right."""
    url = settings.outside.prefect_api_url
    if url is None:
        return check_embedded_server()
    base = url.rstrip("/")
    fault = _fault(f"{base}/health")
    if fault:
        return Check(
            "Prefect API",
            False,
            f"{base} {fault}",
            "Start the server (`prefect server start`), correct PREFECT_API_URL (it ends in /api), or unset it to use "
            "the embedded one.",
        )
    fault = _fault(f"{base}/admin/version", os.environ.get("PREFECT_API_AUTH_STRING"))
    if fault:
        return Check("Prefect API", False, f"{base} {fault}", "Set PREFECT_API_AUTH_STRING to user:password.")
    return Check("Prefect API", True, base)


def check_embedded_server() -> Check:
    """Start Prefect's embedded server as a run does, and stop it; where a Prefect profile names an API, ask that."""
    from flows.cli.embedded import try_server

    try:
        url = try_server()
    except TaxiFlowsError as error:
        return Check("Prefect API", False, str(error))
    if url is None:
        return Check("Prefect API", True, "PREFECT_API_URL is not set: flows use an embedded server, which starts")
    fault = _fault(f"{url.rstrip('/')}/health")
    if fault:
        return Check("Prefect API", False, f"{url} of the Prefect profile {fault}", "Start the server, or correct it.")
    return Check("Prefect API", True, f"{url}, from the Prefect profile")


def check_proxies() -> Check:
    """Connect to each proxy that the environment or the system names."""
    found = {scheme: address for scheme, address in proxies().items() if scheme in SCHEMES}
    if not found:
        return Check("Proxy", True, "none is set")
    faults = [
        f"{scheme}_proxy={_without_password(address)} {fault}"
        for scheme, address in found.items()
        if (fault := _proxy_fault(address))
    ]
    if faults:
        return Check(
            "Proxy",
            False,
            "; ".join(faults),
            "Correct or unset it (in capitals, too): downloads and servers on other machines are reached through it.",
        )
    named = ", ".join(f"{scheme}_proxy={_without_password(address)}" for scheme, address in found.items())
    return Check("Proxy", True, f"{named}; not used for addresses of this machine")


def _proxy_fault(address: str) -> str:
    """Why a proxy can't be used; empty where something listens there."""
    unusable = proxy_fault(address)
    if unusable is not None:
        return f"can't be used: {unusable}"
    url = httpx.URL(address if "://" in address else f"http://{address}")
    try:
        socket.create_connection((url.host, url.port or _PORTS[url.scheme]), _TIMEOUT_SECONDS).close()
    except OSError as error:
        return f"does not answer: {error.strerror or error}"
    return ""


def _without_password(address: str) -> str:
    return address.rpartition("@")[2] if "@" in address else address


def check_pushgateway(settings: Settings) -> Check:
    """Ask the configured Pushgateway whether it is ready."""
    url = settings.outside.pushgateway_url
    if url is None:
        return Check("Pushgateway", True, "PUSHGATEWAY_URL is not set: no metrics are pushed")
    base = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
    fault = _fault(f"{base}/-/ready")
    if fault:
        return Check("Pushgateway", False, f"{base} {fault}", "Start it, correct PUSHGATEWAY_URL, or unset it.")
    return Check("Pushgateway", True, base)


def check_zone_table(settings: Settings) -> Check:
    """Read the taxi zone table; without one, trips that have zone ids alone can't be placed."""
    from flows.datasets.sources import zone_table
    from flows.store import open_store

    try:
        table = zone_table(settings, open_store(settings))
    except TaxiFlowsError as error:
        return Check("Zone table", False, str(error))
    if table is None:
        return Check(
            "Zone table",
            True,
            "none yet: trips that have zone ids alone can't be placed",
            "`taxi-flows data fetch yellow 2025-09` downloads it; TAXI_ZONE_TABLE names one elsewhere.",
        )
    return Check("Zone table", True, f"{len(table.ids)} zones")


def check_temporary_files() -> Check:
    """Write a few megabytes where kernels are compiled to and objects of a store are copied to."""
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("Temporary files", False, str(error.strerror or error), "TMPDIR names a folder that has room.")
    return Check("Temporary files", True, f"{folder}, {free_bytes / 2**30:.1f} GiB free")


def check_resources(settings: Settings) -> Check:
    """How many CPUs and how much memory a run may use."""
    from flows.core.limits import memory_limit, n_jobs

    limit = memory_limit(settings)
    gib = 2**30
    return Check(
        "CPUs and memory",
        True,
        f"{n_jobs(None, settings)} CPUs, {limit.bytes / gib:.1f} of {limit.limit_bytes / gib:.1f} GiB free "
        f"({limit.source})",
    )


def _fault(url: str, credentials: str | None = None) -> str:
    """Why a GET fails; empty where it does not."""
    auth = None
    if credentials is not None:
        user, _, password = credentials.partition(":")
        auth = httpx.BasicAuth(user, password)
    try:
        response = httpx.get(url, timeout=_TIMEOUT_SECONDS, auth=auth)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:  # the last two: of an unusable proxy
        return f"does not answer: {str(error) or type(error).__name__}"
    return "" if response.is_success else f"answers HTTP {response.status_code}"
