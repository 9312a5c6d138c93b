"""The base of all stored models, and the largest number that they hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

INT64_MAX = 2**63 - 1
"""No parameter and no count is larger: neither kernels, nor tables, nor Prefect's API hold such a number."""


class Frozen(BaseModel):
    """Base of all stored models."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
