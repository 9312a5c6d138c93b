"""No more calls in a second than another's server is to bear."""

from __future__ import annotations

import threading
import time


class Pace:
    """Lets calls of all threads through one after the other, at even distances.

    Args:
        per_second: the most in a second.
    """

    def __init__(self, per_second: float) -> None:
        self._distance_seconds, self._next_at = 1 / per_second, 0.0
        self._lock = threading.Lock()
        self.count = 0
        """Calls that were let through."""

    def pause(self, seconds: float) -> None:
        """Let nothing through for so long."""
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn_at = max(now, self._next_at)
            self._next_at = turn_at + self._distance_seconds
            self.count += 1
        time.sleep(turn_at - now)
