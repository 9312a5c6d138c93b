"""A number that may be undefined, with the reason, and how models keep it."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from flows.core.frozen import INT64_MAX, Frozen

Count = Annotated[int, Field(ge=0, le=INT64_MAX)]

AtLeastOne = Annotated[int, Field(ge=1, le=INT64_MAX)]


class Metric(Frozen):
    """A number, or None with the reason why it is not defined."""

    # What is computed may be anything; `Measured` refuses it where it is read from a file.
    model_config = ConfigDict(allow_inf_nan=True)

    value: float | None
    reason: str | None = None


class Measured(Frozen):
    """Base of models that hold metrics. Stored, a metric is a plain number, or null beside `<name>_reason`."""

    @model_serializer(mode="wrap")
    def _flatten(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        stored: dict[str, object] = write(self)
        for name, metric in self:
            if isinstance(metric, Metric):
                stored[name] = metric.value
                if metric.value is None:
                    stored[f"{name}_reason"] = metric.reason
        return stored

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, stored: object) -> object:
        if not isinstance(stored, dict):
            return stored
        folded = dict(stored)
        for name, field in cls.model_fields.items():
            if field.annotation is Metric and not isinstance(folded.get(name, {}), Metric | dict):
                if isinstance(folded[name], float) and not math.isfinite(folded[name]):
                    raise ValueError(f"{name} is {folded[name]}")
                folded[name] = {"value": folded[name], "reason": folded.pop(f"{name}_reason", None)}
        return folded
