"""Arrow columns of any type that a trip file uses, to the numpy arrays of a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.steps.dialects import dialect_table

_CLOCK_CHARACTERS = len("2016-01-31 07:05")
_LARGEST_ZONE_ID = np.iinfo(np.int32).max

NUMBER = "a number"
ZONE_ID = "a taxi zone id (a whole number such as 132)"
TIME = "a time such as 2016-01-31 07:05:00"


class BadValueError(ValueError):
    """A cell that can't be what its column is; the caller knows file and column.

    index: 0-based row in the array at hand.
    """

    def __init__(self, index: int, found: object, expected: str) -> None:
        super().__init__(f"found {found!r}, expected {expected}")
        self.index = index


def to_numbers(values: pa.Array | pa.ChunkedArray, expected: str = NUMBER) -> NDArray[np.float64]:
    """Floats, whole numbers, decimals or text to float64[n]; NaN where missing.

    Without nulls a float64 column is not copied.

    Raises:
        BadValueError: text that is no number, or a column of another type.
    """
    values = _plain(values)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = _cast_text(values, pa.float64(), expected)
    elif not (_is_number(kind) or pa.types.is_null(kind)):
        raise BadValueError(0, _first(values), f"{expected}; the column is of type {kind}")
    numbers: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def to_zones(values: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Zone ids as whole numbers, floats or text to int64[n]; -1 where missing.

    Raises:
        BadValueError: a fraction, a negative number, or what is no number.
    """
    values = _plain(values)
    if pa.types.is_integer(values.type):
        if (pc.min(values).as_py() or 0) >= 0:
            zones: NDArray[np.int64] = values.cast(pa.int64()).fill_null(-1).to_numpy()
            return zones
        values = values.cast(pa.float64(), safe=False)
    numbers = to_numbers(values, ZONE_ID)
    missing = np.isnan(numbers)
    with np.errstate(invalid="ignore"):
        bad = ~missing & ~((numbers >= 0) & (numbers <= _LARGEST_ZONE_ID) & (numbers == np.floor(numbers)))
    if bad.any():
        index = int(np.argmax(bad))
        raise BadValueError(index, values[index].as_py(), ZONE_ID)
    return np.where(missing, -1.0, numbers).astype(np.int64)


def to_minutes(values: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Times to int64[n] minutes since 1970-01-01 00:00 on the clock that is written; -1 where missing.

    Offsets such as `+08:00` and ` UTC` in text are false in the files that have them: the clock is New York's. A
    timestamp with a zone is read on that zone's clock.

    Raises:
        BadValueError: text that is no time, or a column of another type.
    """
    values = _plain(values)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = _cast_text(values, pa.timestamp("s"), TIME, _clock)
    elif pa.types.is_timestamp(kind):
        values = pc.local_timestamp(values) if kind.tz else values
    elif pa.types.is_null(kind):
        values = values.cast(pa.timestamp("s"))
    else:
        raise BadValueError(0, _first(values), f"{TIME}; the column is of type {kind}")
    seconds = values.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).fill_null(-60).to_numpy()
    minutes: NDArray[np.int64] = np.maximum(seconds // 60, -1)
    return minutes


def has_value(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether any cell holds something; NaN and text that says nothing do not."""
    values = _plain(values)
    if values.null_count == len(values):
        return False
    if pa.types.is_floating(values.type):
        return bool(pc.any(pc.invert(pc.is_nan(values))).as_py())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return bool(_text(values).null_count < len(values))
    return True


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array, without a dictionary and of a common text type."""
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    return values


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _first(values: pa.Array) -> object:
    return str(values[0].as_py()) if len(values) else None


def _text(values: pa.Array) -> pa.Array:
    """Text without blanks around it, null where it says nothing."""
    trimmed = pc.utf8_trim_whitespace(values)
    nothing = pc.is_in(trimmed, value_set=pa.array(dialect_table().missing.values, values.type))
    return pc.if_else(nothing, pa.scalar(None, values.type), trimmed)


def _clock(text: pa.Array) -> pa.Array:
    """Date, hour and minute of a time. A shorter text is left as one that is no time."""
    whole = pc.greater_equal(pc.utf8_length(text), _CLOCK_CHARACTERS)
    clock = pc.utf8_slice_codeunits(text, 0, _CLOCK_CHARACTERS)
    return pc.if_else(whole, clock, pa.scalar("no time", text.type))


def _cast_text(
    values: pa.Array, kind: pa.DataType, expected: str, part: Callable[[pa.Array], pa.Array] | None = None
) -> pa.Array:
    text = _text(values)
    wanted = text if part is None else part(text)
    try:
        return wanted.cast(kind)
    except pa.ArrowInvalid:
        index = _first_uncastable(wanted, kind)
    raise BadValueError(index, text[index].as_py(), expected)


def _first_uncastable(values: pa.Array, kind: pa.DataType) -> int:
    """By bisection: Arrow says that a cast fails, not where."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            values.slice(low, middle - low).cast(kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low
