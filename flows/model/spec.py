"""What to cluster and how: the parameters of one experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.adapters.registry import adapter_names
from flows.core.frozen import INT64_MAX, Frozen
from flows.model import parameter

CoordinateType = Literal["pickup", "dropoff", "both"]

End = Literal["pickup", "dropoff"]

UNITS_PER_METRE = 1024
"""Points and eps are rounded to 2^-10 m, so that a tie at eps means the same everywhere."""

AdapterType = Annotated[str, Field(json_schema_extra={"enum": list(adapter_names())})]

Eps = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]

Seed = Annotated[int, Field(ge=0, le=INT64_MAX, strict=True)]

MinSamples = Annotated[int, Field(ge=1, le=INT64_MAX, strict=True)]

MaxSamples = Annotated[int, Field(ge=1, le=INT64_MAX, strict=True)]


def ends_of(coordinate_type: CoordinateType) -> tuple[End, ...]:
    """The ends of a trip that are clustered, in the order in which each row's points are pooled."""
    return ("pickup", "dropoff") if coordinate_type == "both" else (coordinate_type,)


def eps_to_metres(eps_km: float) -> float:
    """eps in metres on the 2^-10 m grid."""
    return round(eps_km * 1000 * UNITS_PER_METRE) / UNITS_PER_METRE


class ExperimentSpec(Frozen):
    """What to cluster and how; the guide's parameters. Build it with `flows.model.parameters.experiment_spec`."""

    data_source: Annotated[tuple[str, ...], Field(min_length=1)]
    adapter_type: AdapterType = parameter.ADAPTER_TYPE
    eps: Eps = parameter.EPS_KM
    min_samples: MinSamples = parameter.MIN_SAMPLES
    coordinate_type: CoordinateType = "pickup"
    use_location_ids: bool = True
    max_samples: MaxSamples | None = None
    use_minio: bool = True
    seed: Seed = 0
    hours: str | None = None
    weekdays: str | None = None

    @property
    def eps_m(self) -> float:
        """eps in metres, rounded to 2^-10 m."""
        return eps_to_metres(self.eps)

    @property
    def filters_time(self) -> bool:
        """Whether trips are chosen by their pick-up's clock."""
        return self.hours is not None or self.weekdays is not None
