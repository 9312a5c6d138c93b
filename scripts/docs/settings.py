"""The table of settings, from flows/core/settings.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from flows.core.settings import Settings


def table() -> str:
    """Every setting: its environment variable, default and meaning."""
    rows = [f"| `{variable}` | {default} | {meaning} |" for variable, default, meaning in _settings(Settings, "TAXI_")]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            own_names = issubclass(inner, BaseSettings)
            nested = str(inner.model_config.get("env_prefix", "")) if own_names else f"{prefix}{name.upper()}__"
            yield from _settings(inner, nested)
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            yield f"{prefix}{name.upper()}", _text(default), field.description or ""


def _text(default: object) -> str:
    if default is None:
        return "unset"
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text.replace(str(Path.home()), '~')}`"
