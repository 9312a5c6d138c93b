"""Arrow columns of any type that a trip file uses, to the numpy arrays of a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.readers.dialects import dialect_table

_LARGEST_ZONE_ID = np.iinfo(np.int32).max

NUMBER = "a number"
ZONE_ID = "a taxi zone id (a whole number such as 132)"


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
    values = plain(values)
    kind = values.type
    if is_text(kind):
        values = _cast_text(values, pa.float64(), expected)
    elif not (_is_number(kind) or pa.types.is_null(kind)):
        raise BadValueError(0, shown(values, 0), f"{expected}; the column is of type {kind}")
    numbers: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def to_zones(values: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Zone ids as whole numbers, floats or text to int64[n]; -1 where missing.

    Raises:
        BadValueError: a fraction, a negative number, or what is no number.
    """
    values = plain(values)
    if pa.types.is_integer(values.type):
        if (pc.min(values).as_py() or 0) >= 0 and (pc.max(values).as_py() or 0) <= _LARGEST_ZONE_ID:
            zones: NDArray[np.int64] = values.cast(pa.int64()).fill_null(-1).to_numpy()
            return zones
        values = values.cast(pa.float64(), safe=False)
    numbers = to_numbers(values, ZONE_ID)
    missing = np.isnan(numbers)
    with np.errstate(invalid="ignore"):
        bad = ~missing & ~((numbers >= 0) & (numbers <= _LARGEST_ZONE_ID) & (numbers == np.floor(numbers)))
    if bad.any():
        index = int(np.argmax(bad))
        raise BadValueError(index, shown(values, index), ZONE_ID)
    return np.where(missing, -1.0, numbers).astype(np.int64)


def has_value(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether any cell holds something; NaN and text that says nothing do not."""
    values = plain(values)
    if values.null_count == len(values):
        return False
    if pa.types.is_floating(values.type):
        return bool(pc.any(pc.invert(pc.is_nan(values))).as_py())
    if is_text(values.type):
        return bool(text_cells(values).null_count < len(values))
    return True


def has_nonzero(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether any cell holds something other than the number 0; text that is no number does."""
    try:
        numbers = to_numbers(values)
    except BadValueError:
        return has_value(values)
    return bool(np.any((numbers != 0) & ~np.isnan(numbers)))


def plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array, without a dictionary and of a common text type."""
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    return values


def is_text(kind: pa.DataType) -> bool:
    """Whether cells are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def text_cells(values: pa.Array) -> pa.Array:
    """Text without blanks around it, null where it says nothing.

    Raises:
        BadValueError: bytes that are no UTF-8.
    """
    try:
        trimmed = pc.utf8_trim_whitespace(values)
    except pa.ArrowInvalid:
        index = _first_bad(values, pc.utf8_trim_whitespace)
        raise BadValueError(index, shown(values, index), "text in UTF-8") from None
    nothing = pc.is_in(trimmed, value_set=pa.array(dialect_table().missing.values, values.type))
    return pc.if_else(nothing, pa.scalar(None, values.type), trimmed)


def shown(values: pa.Array, index: int) -> str | None:
    """A cell as people write it; what Python has no value for (a year above 9999, bytes) as it is stored."""
    if index >= len(values):
        return None
    scalar = values[index]
    if pa.types.is_timestamp(values.type) and values.type.tz:  # its zone may be one that Python doesn't know
        instant = shown(values.slice(index, 1).cast(pa.int64()).cast(pa.timestamp(values.type.unit)), 0)
        return None if instant is None else f"{instant}Z"
    try:
        cell = scalar.as_py()
    except UnicodeDecodeError:
        kind = pa.large_binary() if pa.types.is_large_string(values.type) else pa.binary()
        return str(values.slice(index, 1).cast(kind)[0].as_py().decode("utf-8", errors="backslashreplace"))
    except (OverflowError, ValueError):
        return f"{scalar.value} {values.type}"
    return None if cell is None else str(cell)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _cast_text(values: pa.Array, kind: pa.DataType, expected: str) -> pa.Array:
    text = text_cells(values)
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        index = _first_bad(text, lambda part: part.cast(kind))
    raise BadValueError(index, shown(text, index), expected)


def _first_bad(values: pa.Array, convert: Callable[[pa.Array], object]) -> int:
    """By bisection: Arrow says that a conversion fails, not where."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values.slice(low, middle - low))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low
