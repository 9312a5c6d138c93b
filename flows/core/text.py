"""Text that comes from outside, such as names of files, as it may be printed."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

# Control characters steer a terminal, lone surrogates are bytes that are no UTF-8, the separators break lines.
_ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_HANDLER = "taxi-flows-escape"


def printable(text: str) -> str:
    r"""The text with control characters and bytes that are no UTF-8 as escapes, such as `\x1b` and `\udcfc`."""
    if text.isprintable():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in _ESCAPED_CATEGORIES else char for char in text)


def not_utf8(text: str) -> bool:
    """Whether some of it came from bytes that are no UTF-8, which Python keeps as lone surrogates."""
    return not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def escape_what_it_can_not_write(stream: TextIO) -> None:
    r"""Let a stream write `\u00fc` where its encoding has no ü, which JSON reads as the same character."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors != _HANDLER:
        stream.reconfigure(errors=_HANDLER)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _escape_for_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    units = found.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end


codecs.register_error(_HANDLER, _escape_for_json)
