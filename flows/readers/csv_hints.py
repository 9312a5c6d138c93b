"""What explains that rows of CSV text don't fit: another separator, or decimal commas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from flows.core.errors import RowError
from flows.model.points import SourceFile
from flows.readers.csv_lines import Line

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ":": "colons", "^": "carets", "~": "tildes"}
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")

_DEGREES, _FRACTION = re.compile(r"-7[2-5]|4[01]"), re.compile(r"\d{2,}")
_COORDINATE = re.compile("lon|lat", re.IGNORECASE)
_DEGREES_WITH_COMMA = re.compile(rf"({_DEGREES.pattern}),{_FRACTION.pattern}")


def hint(line: Line, n_fields: int) -> str:
    """What explains another number of fields than n_fields; nothing where that is not known."""
    text = ",".join(line.cells)
    separator = next((word for sign, word in SEPARATORS.items() if text.count(sign) + 1 == n_fields > 2), None)
    if separator is not None:
        return f" (this line is separated by {separator}, the header by commas)"
    pairs = pairwise(line.cells)
    split = next((f"{a},{b}" for a, b in pairs if _DEGREES.fullmatch(a) and _FRACTION.fullmatch(b)), None)
    return "" if split is None else f" (decimal commas cut numbers in two: {split!r})"


def refuse_decimal_commas(file: SourceFile, names: Sequence[str], rows: Sequence[Line]) -> None:
    """Refuse a file whose first rows have degrees with a decimal comma in a column of coordinates.

    Raises:
        RowError: it has.
    """
    columns = [(c, name) for c, name in enumerate(names) if _COORDINATE.search(name)]
    for line in rows:
        for column, name in columns:
            cell = line.cells[column]
            if _DEGREES_WITH_COMMA.fullmatch(cell.strip()):
                raise RowError(
                    f"{file.name}, line {line.number}, column {name!r}: found {cell!r}, which has a decimal comma; "
                    "expected decimal points. Save the file with decimal points in the numbers."
                )
