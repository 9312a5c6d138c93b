"""Pick-up times of any form to minutes of New York's local clock; the forms themselves are data, `dialects.toml`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.model.points import NO_TIME, Clock
from flows.readers.columns import BadValueError, is_text, plain, shown, text_cells
from flows.readers.dialects import TimeForm, dialect_table

CITY = ZoneInfo("America/New_York")
TIME = "a time such as 2016-01-31 07:05:00 or 01/31/2016 7:05:00 AM"

_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)  # its local clock is of year 1 as well
_LAST_SECOND = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)


def to_minutes(
    values: pa.Array | pa.ChunkedArray, false_offsets: bool = False
) -> tuple[NDArray[np.int64], frozenset[Clock]]:
    """Times to int64[n] minutes since 1970-01-01 00:00 of the city's clock, NO_TIME where missing; and how.

    A time without an offset is the city's clock as it is written. One with `Z` or an offset such as `-05:00`, and a
    timestamp with a time zone (parquet's isAdjustedToUTC), is an instant and is converted. The label ` UTC` of text is
    left alone: it comes from BigQuery's public copy of the trips, whose clock is the city's.

    Args:
        false_offsets: the offsets of the text are known to be false: the clock is the city's as it is written.

    Raises:
        BadValueError: text in no known form, a year outside 1 to 9999, or a column of another type.
    """
    values = plain(values)
    kind = values.type
    if is_text(kind):
        text = text_cells(values)
        return _quickly(text) or _of_text(text, false_offsets)
    if pa.types.is_timestamp(kind):
        return _of_timestamps(values)
    if pa.types.is_null(kind):
        return np.full(len(values), NO_TIME), frozenset()
    raise BadValueError(0, shown(values, 0), f"{TIME}; the column is of type {kind}")


def _of_timestamps(values: pa.Array) -> tuple[NDArray[np.int64], frozenset[Clock]]:
    missing = values.is_null().to_numpy(zero_copy_only=False)
    stored: NDArray[np.int64] = values.cast(pa.int64()).fill_null(0).to_numpy()
    seconds = stored // _UNITS_PER_SECOND[values.type.unit]
    bad = (seconds < _FIRST_SECOND) | (seconds > _LAST_SECOND)
    if bad.any():
        index = int(np.argmax(bad))
        raise BadValueError(index, shown(values, index), f"{TIME}, of the years 1 to 9999")
    if values.type.tz:
        seconds = city_clock(seconds)
    clock: Clock = "converted from UTC" if values.type.tz else "as written"
    return np.where(missing, NO_TIME, seconds // 60), frozenset() if missing.all() else frozenset({clock})


def _quickly(text: pa.Array) -> tuple[NDArray[np.int64], frozenset[Clock]] | None:
    """Where all is ISO 8601 without offsets Arrow knows the form, ten times as fast as by a regular expression."""
    shortest = pc.min(pc.utf8_length(text)).as_py()
    if shortest is not None and shortest < len("2016-01-31 07:05"):  # a date alone, or an hour
        return None
    try:
        return _of_timestamps(text.cast(pa.timestamp("us")))
    except (pa.ArrowInvalid, BadValueError):
        return None


def _of_text(text: pa.Array, false_offsets: bool) -> tuple[NDArray[np.int64], frozenset[Clock]]:
    minutes = np.full(len(text), NO_TIME)
    clocks: set[Clock] = set()
    left = text.is_valid().to_numpy(zero_copy_only=False)
    for form in dialect_table().times:
        if not left.any():
            break
        where = np.flatnonzero(left)
        parts = pc.extract_regex(text.take(pa.array(where)), form.pattern)
        fits = parts.is_valid().to_numpy(zero_copy_only=False)
        if fits.any():
            where = where[fits]
            minutes[where], used = _of_form(form, parts.filter(pa.array(fits)), text, where, false_offsets)
            clocks |= used
            left[where] = False
    if left.any():
        index = int(np.argmax(left))
        raise BadValueError(index, shown(text, index), TIME)
    return minutes, frozenset(clocks)


def _of_form(
    form: TimeForm, parts: pa.Array, text: pa.Array, where: NDArray[np.int64], false_offsets: bool
) -> tuple[NDArray[np.int64], set[Clock]]:
    """Minutes of cells of one form, from its named groups."""
    date = {name: _whole_numbers(parts.field(name)) for name in ("year", "month", "day")}
    days, is_date = _days(date["year"], date["month"], date["day"])
    if not is_date.all():
        index = int(where[np.argmin(is_date)])
        raise BadValueError(index, shown(text, index), TIME)
    hour = _whole_numbers(parts.field("hour"))
    if form.twelve_hours:
        is_pm = pc.equal(pc.utf8_upper(parts.field("half")), "P").to_numpy(zero_copy_only=False)
        hour = hour % 12 + 12 * is_pm
    seconds = days * 86_400 + hour * 3600 + _whole_numbers(parts.field("minute")) * 60
    seconds += _whole_numbers(parts.field("second"))
    if not form.offsets:
        return seconds // 60, {form.clock}
    clocks = _take_offsets(seconds, parts.field("offset"), text, where, false_offsets, form.clock)
    return seconds // 60, clocks


def _take_offsets(
    seconds: NDArray[np.int64],
    offset: pa.Array,
    text: pa.Array,
    where: NDArray[np.int64],
    false_offsets: bool,
    plain_clock: Clock,
) -> set[Clock]:
    """Turn the seconds of the clock that is written into those of the city's, in place."""
    encoded = offset.dictionary_encode()
    labels, index = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    clocks: set[Clock] = set()
    for number, label in enumerate(labels):
        chosen = index == number
        if label == "":
            clocks.add(plain_clock)
        elif false_offsets or label == "UTC":
            clocks.add("as written, its offset is false")
        else:
            instants = seconds[chosen] - _offset_minutes(label) * 60
            outside = (instants < _FIRST_SECOND) | (instants > _LAST_SECOND)
            if outside.any():
                place = int(where[np.flatnonzero(chosen)[np.argmax(outside)]])
                raise BadValueError(place, shown(text, place), f"{TIME}, of the years 1 to 9999")
            seconds[chosen] = city_clock(instants)
            clocks.add("converted from UTC")
    return clocks


def city_clock(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """UTC seconds since 1970 to those of New York's clock, with daylight saving time.

    Its offset changes at whole hours of UTC alone, so each hour is looked up once.
    """
    hours, place = np.unique(seconds // 3600, return_inverse=True)
    return seconds + np.fromiter(map(_offset_seconds, hours.tolist()), np.int64, len(hours))[place]


@lru_cache(maxsize=1 << 16)
def _offset_seconds(hour: int) -> int:
    offset = (_EPOCH + timedelta(hours=hour)).astimezone(CITY).utcoffset()
    return int((offset or timedelta(0)).total_seconds())


def _offset_minutes(label: str) -> int:
    """Minutes east of UTC of `Z`, `+08`, `+0800` or `+08:00`."""
    if label in {"Z", "z"}:
        return 0
    digits = label[1:].replace(":", "").ljust(4, "0")
    return (-1 if label[0] == "-" else 1) * (60 * int(digits[:2]) + int(digits[2:]))


def _whole_numbers(digits: pa.Array) -> NDArray[np.int64]:
    """Digits as numbers; nothing is 0."""
    filled = pc.if_else(pc.equal(digits, ""), "0", digits)
    numbers: NDArray[np.int64] = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _days(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Days since 1970-01-01, and whether there is such a day."""
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - first
    return first + day - 1, (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)
