"""Hours of the day and days of the week, as people write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from flows.core.errors import ParameterError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_OF_DAY = 24 * 60

DASHES = "\u2013\u2014\u2212"
"""What stands for a hyphen where a text program changed it: en dash, em dash, minus."""
_TO = f" *[-{DASHES}] *"
_TIME = "([01]?[0-9]|2[0-3])(:[0-5][0-9])?"
_SPAN = f"{_TIME}{_TO}({_TIME}|24(:00)?)"
_DAY = "(mon(day)?|tue(s|sday)?|wed(nesday)?|thu(r|rs|rsday)?|fri(day)?|sat(urday)?|sun(day)?)"
_DAYS_SPAN = f"{_DAY}({_TO}{_DAY})?"

# Without what Python, Rust and Go read differently: pydantic and Kubernetes check by these patterns, too.
HOURS = f"^ *{_SPAN}( *, *{_SPAN})* *$"
WEEKDAYS = f"(?i)^ *{_DAYS_SPAN}( *, *{_DAYS_SPAN})* *$"


def parse_hours(hours: str) -> frozenset[int]:
    """Minutes of the day, 0 to 1439, that '7-10', '22-4', '7:30-9:30' or '7-10,16-19' names; ends are excluded.

    Raises:
        ParameterError: something else stands there, or a span is empty.
    """
    if not isinstance(hours, str) or not re.fullmatch(HOURS, hours):
        raise ParameterError(_not_hours(hours))
    minutes: set[int] = set()
    for first, last in map(_ends, hours.split(",")):
        start, end = _minute(first), _minute(last)
        if start == end:
            raise ParameterError(
                f"hours is {hours!r}: {first}-{last} is empty, as the end is excluded; 0-24 is all day."
            )
        minutes.update(range(start, end) if start < end else (*range(start, MINUTES_OF_DAY), *range(end)))
    return frozenset(minutes)


def parse_weekdays(weekdays: str) -> frozenset[int]:
    """Days (Monday 0) that 'mon-fri', 'Saturday' or 'mon,wed,fri-sun' names; a span may wrap.

    Raises:
        ParameterError: something else stands there.
    """
    if not isinstance(weekdays, str) or not re.fullmatch(WEEKDAYS, weekdays):
        raise ParameterError(
            f"weekdays is {weekdays!r}: use English names of days, such as 'mon-fri', 'sat,sun' or 'Friday-Monday'."
        )
    days: set[int] = set()
    for first, last in map(_ends, weekdays.lower().split(",")):
        start, end = _DAYS.index(first[:3]), _DAYS.index(last[:3])
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def canonical_hours(hours: str | None) -> str | None:
    """The shortest way to write the same hours: '7-10', '7:30-9:00' or '7-10,22-4'."""
    if hours is None:
        return None
    spans = _runs(parse_hours(hours), MINUTES_OF_DAY)
    return ",".join(_span(start, (start + length - 1) % MINUTES_OF_DAY + 1) for start, length in spans)


def canonical_weekdays(weekdays: str | None) -> str | None:
    """The same days in short names: 'mon-fri', 'sat,sun' or 'fri-mon'."""
    if weekdays is None:
        return None
    return ",".join(_day_names(start, length) for start, length in _runs(parse_weekdays(weekdays), 7))


def _not_hours(hours: object) -> str:
    return (
        f"hours is {hours!r}: use start-end of the 24-hour clock, the end excluded, such as '7-10', '22-4', "
        "'7:30-9:30' or '7-10,16-19'."
    )


def _ends(span: str) -> tuple[str, str]:
    """What stands on both sides of the dash; twice the same without one."""
    ends = re.split(_TO, span.strip(" "))
    return ends[0], ends[-1]


def _minute(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    return int(hour) * 60 + int(minute or 0)


def _runs(chosen: Collection[int], size: int) -> Iterator[tuple[int, int]]:
    """First member and length of each run of neighbours on a circle of that size."""
    if len(chosen) == size:
        yield 0, size
        return
    for start in sorted(one for one in chosen if (one - 1) % size not in chosen):
        length = 1
        while (start + length) % size in chosen:
            length += 1
        yield start, length


def _span(start: int, end: int) -> str:
    if start % 60 == end % 60 == 0:
        return f"{start // 60}-{end // 60}"
    return f"{start // 60}:{start % 60:02}-{end // 60}:{end % 60:02}"


def _day_names(start: int, length: int) -> str:
    days = [_DAYS[(start + step) % 7] for step in range(length)]
    return f"{days[0]}-{days[-1]}" if length > 2 else ",".join(days)
