"""What goes wrong again and again is said once, and once more when it is over."""

from __future__ import annotations

import logging
import time

REPEAT_SECONDS = 600.0
"""After so long a fault that lasts is said again."""
_LONGEST = 1000
"""Characters of a message."""

_log = logging.getLogger("flows.operator")


class Faults:
    """Warnings in the log, each kind once in REPEAT_SECONDS whatever its words."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def tell(self, kind: str, message: str, *, with_traceback: bool = False) -> None:
        """Say it where its kind was not said of late; with_traceback: of the error that is being handled."""
        now = time.monotonic()
        said_at = self._said_at.get(kind)
        if said_at is not None and now - said_at < REPEAT_SECONDS:
            return
        self._said_at[kind] = now
        text = " ".join(message.split())[:_LONGEST]
        _log.log(logging.ERROR if with_traceback else logging.WARNING, "%s", text, exc_info=with_traceback)

    def over(self, kind: str, message: str) -> None:
        """It is well again, which is said where the fault was."""
        if self._said_at.pop(kind, None) is not None:
            _log.info("%s", message)
