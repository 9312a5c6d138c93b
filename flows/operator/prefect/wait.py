"""Waits for Prefect's API, which may come up after what needs it."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from prefect.settings import get_current_settings

from flows.core.errors import PrefectApiError

_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 5.0
_SAY_EVERY_SECONDS = 10.0


def wait_for_prefect_api(wait_seconds: float, say: Callable[[str], None]) -> None:
    """Wait until the API that PREFECT_API_URL names answers and lets us in.

    Args:
        wait_seconds: give up after that long.
        say: told what is waited for, now and then.

    Raises:
        PrefectApiError: it did not answer in time, refuses the password, or is no Prefect API.
    """
    settings = get_current_settings()
    if settings.api.url is None:
        raise PrefectApiError(
            'PREFECT_API_URL is not set. Run: eval "$(taxi-flows platform env)", or set it to the address of a server, '
            "such as http://localhost:4200/api."
        )
    secret = settings.api.auth_string
    user, _, password = (secret.get_secret_value() if secret else "").partition(":")
    auth = httpx.BasicAuth(user, password) if secret else None
    _wait(str(settings.api.url).rstrip("/"), auth, wait_seconds, say)


def _wait(url: str, auth: httpx.BasicAuth | None, wait_seconds: float, say: Callable[[str], None]) -> None:
    start = time.monotonic()
    next_word = start
    while fault := _fault(url, auth):
        now = time.monotonic()
        if now - start >= wait_seconds:
            raise PrefectApiError(
                f"waited {wait_seconds:g} s for Prefect's API at {url}: {fault}. Is the server up, and PREFECT_API_URL "
                "right? Nothing was changed. --wait-seconds waits longer."
            )
        if now >= next_word:
            say(f"Waiting for Prefect's API at {url}: {fault} ({now - start:.0f} of {wait_seconds:g} s) ...")
            next_word = now + _SAY_EVERY_SECONDS
        time.sleep(min(_PAUSE_SECONDS, wait_seconds))


def _fault(url: str, auth: httpx.BasicAuth | None) -> str:
    """Why it isn't ready yet; empty where it is."""
    try:
        response = httpx.get(f"{url}/admin/version", auth=auth, timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    except httpx.InvalidURL as error:
        raise PrefectApiError(f"PREFECT_API_URL={url}: {error}.") from error
    if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise PrefectApiError(
            f"Prefect's API at {url} answers HTTP {response.status_code}: PREFECT_API_AUTH_STRING is "
            f"{'wrong' if auth else 'not set'}. Set it to user:password of the server (Secret prefect-auth)."
        )
    if response.is_client_error:
        raise PrefectApiError(f"{url} is no Prefect API (HTTP {response.status_code}); PREFECT_API_URL ends in /api.")
    return "" if response.is_success else f"HTTP {response.status_code}"
