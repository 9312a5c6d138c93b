"""CustomResourceDefinitions as the chart `flows` installs them, from flows/operator/resources/schema.py.

Structural schemas: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import JsonValue

from flows.core.frozen import INT64_MAX
from flows.core.json_object import JsonObject
from flows.operator.resources.schema import GROUP, KINDS, VERSION, Specification
from flows.operator.resources.status import Status

FOLDER = Path(__file__).resolve().parent.parent.parent / "charts" / "flows" / "templates"
MUTABLE = "ttlSecondsAfterFinished"
_HEAD = "# Written by `python -m scripts.objects`. Helm never deletes it, with the objects: see `make purge`.\n"
_LABELS = '\n  labels: {{- include "common.labels" (list . "operator") | nindent 4 }}\nspec:\n'
"""Helm's own, put in before the spec."""
_NO_SCHEMA = {"title", "additionalProperties"}

Column = tuple[str, str, str]
"""Its title, its type and its path."""
_PHASE: Column = ("Phase", "string", ".status.phase")
_ADAPTER: Column = ("Adapter", "string", ".spec.adapter")
_AGE: Column = ("Age", "date", ".metadata.creationTimestamp")
COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "Experiment": (
        _PHASE,
        _ADAPTER,
        ("Eps", "number", ".spec.eps"),
        ("Min-Samples", "integer", ".spec.minSamples"),
        ("Clusters", "integer", ".status.clusters"),
        ("Score", "number", ".status.score"),
        _AGE,
    ),
    "ParameterSweep": (
        _PHASE,
        _ADAPTER,
        ("Done", "integer", ".status.cells.done"),
        ("Total", "integer", ".status.cells.total"),
        ("Failed", "integer", ".status.cells.failed"),
        ("Best-Eps", "number", ".status.best.eps"),
        ("Best-Min-Samples", "integer", ".status.best.minSamples"),
        ("Score", "number", ".status.best.score"),
        _AGE,
    ),
}


def files() -> dict[Path, str]:
    """Every written file and its text."""
    return {
        FOLDER / f"crd-{kind.plural}.yaml": _HEAD
        + yaml.safe_dump(definition(kind), sort_keys=False, width=120).replace("\nspec:\n", _LABELS, 1)
        for kind in KINDS
    }


def definition(kind: type[Specification]) -> JsonObject:
    """The CustomResourceDefinition of a kind."""
    columns: list[JsonValue] = [{"name": name, "type": of, "jsonPath": path} for name, of, path in COLUMNS[kind.kind]]
    names: JsonObject = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "shortNames": [*kind.short_names],
        "categories": ["taxi"],
    }
    version: JsonObject = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": _object(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _object(kind: type[Specification]) -> JsonObject:
    status = structural(Status.model_json_schema(by_alias=True))
    conditions = status["properties"]["conditions"]  # type: ignore[index,call-overload]
    conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}  # type: ignore[operator]
    return {
        "type": "object",
        "description": f"{(kind.__doc__ or '').splitlines()[0]} One object is one flow run.",
        "required": ["spec"],
        "properties": {"spec": specification(kind), "status": status},
    }


def specification(kind: type[Specification]) -> JsonObject:
    """The schema of `spec` with its rules."""
    schema = structural(kind.model_json_schema(by_alias=True))
    rules: list[JsonValue] = [{"rule": rule, "message": message} for rule, message in kind.rules]
    rules.append({"rule": _unchanged(schema), "message": "spec can't be changed: create a new object"})
    return {**schema, "x-kubernetes-validations": rules}


def _unchanged(schema: JsonObject) -> str:
    """All fields but one are as they were: those without a default may be absent."""
    fields: Mapping[str, JsonObject] = schema["properties"]  # type: ignore[assignment]
    required: list[str] = schema["required"]  # type: ignore[assignment]
    parts = []
    for name, field in fields.items():
        same = f"self.{name} == oldSelf.{name}"
        if name in required or "default" in field:
            parts.append(same)
        elif name != MUTABLE:
            parts.append(f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {same})")
    return " && ".join(parts)


def structural(schema: JsonObject) -> JsonObject:
    """A schema of pydantic's as Kubernetes takes it: nothing referred to, no null, no titles."""
    definitions: Mapping[str, JsonObject] = schema.pop("$defs", {})  # type: ignore[assignment]
    return _plain(schema, definitions)


def _plain(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> JsonObject:
    own = {key: value for key, value in schema.items() if key not in _NO_SCHEMA | {"$ref", "anyOf", "default"}}
    if (default := schema.get("default")) is not None:
        own["default"] = default
    if isinstance(reference := schema.get("$ref"), str):
        own = {**_plain(definitions[reference.rpartition("/")[2]], definitions), **own}
    if isinstance(choices := schema.get("anyOf"), list):
        (choice,) = (one for one in choices if isinstance(one, dict) and one.get("type") != "null")
        own = {**_plain(choice, definitions), **own}
    if isinstance(fields := own.get("properties"), dict):
        own["properties"] = {name: _plain(one, definitions) for name, one in fields.items() if isinstance(one, dict)}
    if isinstance(items := own.get("items"), dict):
        own["items"] = _plain(items, definitions)
    if (bound := own.pop("exclusiveMinimum", None)) is not None:
        own |= {"minimum": bound, "exclusiveMinimum": True}  # as in OpenAPI 3.0
    if own.get("type") == "integer":
        own["format"] = "int64"
        if own.get("maximum") == INT64_MAX:
            # Kubernetes holds bounds as float64: it would be 2**63 and overflow. Larger numbers are no integer to it.
            del own["maximum"]
    return own
