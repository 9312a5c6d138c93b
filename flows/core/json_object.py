"""The type of a JSON object."""

from __future__ import annotations

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]
