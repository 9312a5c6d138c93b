"""What comes in of Prefect's events: what is odd is passed over, counted, and said once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.telemetry.exporter.collector import BadReason, EventSource, Own
from flows.telemetry.exporter.confirm import Pending
from flows.telemetry.exporter.counts import Counts
from flows.telemetry.exporter.events import OddEvent, RunEnded, parse, plain

if TYPE_CHECKING:
    from prefect.events import Event

OLDEST = timedelta(days=1)
"""Before the position up to which all has been read: Prefect tells of nothing that is older."""
NEWEST = timedelta(minutes=5)
"""After now: clocks differ, but not by more."""
MOST_IN_A_ROW = 1000
"""Messages of the stream that can't be read, before it is opened anew."""
_REMEMBERED = 2000
_LONGEST_FAULT = 300

_log = logging.getLogger("flows.telemetry.exporter")


class Intake:
    """Sorts events into what counts, what Prefect's API has yet to confirm, and what is bad."""

    def __init__(self, own: Own, pending: Pending) -> None:
        self._own, self._pending = own, pending
        self._bad: OrderedDict[str, None] = OrderedDict()
        self._said: set[BadReason] = set()

    async def readable(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """The events of the stream without those that Prefect's client can't read."""
        in_a_row = 0
        while True:
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
                in_a_row += 1
                if in_a_row > MOST_IN_A_ROW:
                    raise
                self.passed_over("malformed", f"in the stream: {type(error).__name__}: {error}")
            else:
                in_a_row = 0
                yield event

    def take(self, event: Event, source: EventSource, counts: Counts) -> None:
        """Take in one event. What it says of an attempt's end waits until the API says so too."""
        self._own.events[source] += 1
        seen, now = parse(event), datetime.now(UTC)
        if seen is None:
            return
        if not isinstance(seen, OddEvent) and not counts.position - OLDEST <= seen.occurred <= now + NEWEST:
            seen = OddEvent(f"it says that it happened at {seen.occurred}")
        if isinstance(seen, OddEvent):
            self.passed_over("malformed", seen.why, name_of(event))
        elif not isinstance(seen, RunEnded):
            counts.observe(seen)
        elif seen.occurred >= counts.since and not counts.has(seen):
            self._pending.add(seen, now, written=source == "api")

    def passed_over(self, reason: BadReason, why: str, name: str | None = None) -> None:
        """Count a bad event, once where its name is known, and say the first one of its kind."""
        if name is not None:
            if name in self._bad:
                return
            self._bad[name] = None
            if len(self._bad) > _REMEMBERED:
                self._bad.popitem(last=False)
        self._own.bad_events[reason] += 1
        if reason not in self._said:
            self._said.add(reason)
            _log.warning(
                "an event was passed over as %s: %s (%s). Further ones are only counted.",
                reason, plain_text(why), name or "no id",
            )  # fmt: skip


def happened(event: Event) -> datetime | None:
    """When the event happened, by its sender's clock; None where it bears no time that there is."""
    try:
        return plain(event.occurred)
    except (AttributeError, TypeError, ValueError, ArithmeticError):
        return None


def name_of(event: Event) -> str | None:
    """The event's id, where it has one."""
    found = getattr(event, "id", None)
    return None if found is None else plain_text(str(found))


def plain_text(text: str) -> str:
    """One line of bounded length, of what somebody else wrote."""
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST_FAULT])
