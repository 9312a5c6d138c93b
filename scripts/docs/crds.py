"""The fields of the custom resources, from their CRDs."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from flows.core.json_object import JsonObject
from flows.operator.resources.schema import KINDS, Specification
from scripts.objects.crd import specification


def tables() -> str:
    """One table for each kind."""
    return "\n\n".join(_table(kind) for kind in KINDS)


def _table(kind: type[Specification]) -> str:
    fields: Mapping[str, JsonObject] = specification(kind)["properties"]  # type: ignore[assignment]
    rows = [
        f"| `{name}` | {_type(one)} | {_default(one)} | {one.get('description', '')} |" for name, one in fields.items()
    ]
    head = [f"## {kind.kind}", "", f"Plural `{kind.plural}`, short name `{kind.short_names[0]}`.", ""]
    return "\n".join([*head, "| field of `spec` | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _type(field: JsonObject) -> str:
    if isinstance(items := field.get("items"), dict):
        return f"list of {_type(items)}"
    if isinstance(properties := field.get("properties"), dict):
        return ", ".join(f"`{name}`" for name in properties)
    kinds = [f"`{one}`" for one in field["enum"]] if isinstance(field.get("enum"), list) else [str(field["type"])]  # type: ignore[union-attr]
    least = "above" if field.get("exclusiveMinimum") else "from"
    bounds = [f"{sign} {field[key]}" for key, sign in (("minimum", least), ("maximum", "to")) if key in field]
    return " ".join([", ".join(kinds), *bounds])


def _default(field: JsonObject) -> str:
    return (
        f"`{yaml.safe_dump(field['default'], default_flow_style=True).splitlines()[0]}`" if "default" in field else ""
    )
