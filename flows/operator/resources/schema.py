"""What Experiment and ParameterSweep hold, once: the CRDs and docs/reference/crds.md are generated from here.

Names are camelCase as everywhere in Kubernetes; `parameters` gives the flow's own. Field types and bounds become the
structural schema; rules that no schema can say are in CEL (https://kubernetes.io/docs/reference/using-api/cel/).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from flows.adapters.registry import adapter_names
from flows.core.frozen import INT64_MAX
from flows.core.settings import PodSizes
from flows.model.clock import DASHES, HOURS, WEEKDAYS
from flows.model.ranking import METRICS
from flows.model.spec import CoordinateType

GROUP, VERSION = "taxi.flows", "v1alpha1"

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""A control character is in no key, and no database takes the first of them."""

_HYPHENATED = "self.hours.replace(' ', '')" + "".join(f".replace('{dash}', '-')" for dash in DASHES)
_CLOCK = "s.split('-')[{0}]"
_MINUTE = f"int({_CLOCK}.split(':')[0]) * 60 + ({_CLOCK}.contains(':') ? int({_CLOCK}.split(':')[1]) : 0)"
"""CEL: the minute of the day at which a span `s` begins (0) or ends (1)."""

Eps = Annotated[float, Field(gt=0, le=100)]
MinSamples = Annotated[int, Field(ge=1, le=2**31 - 1)]
Adapter = Annotated[str, Field(json_schema_extra={"enum": list(adapter_names())})]


class Part(BaseModel):
    """Camel case outside, snake case inside."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Resources(PodSizes, Part):
    """What a run's pod asks for, in place of its work pool's sizes."""


class Specification(Part):
    """What both kinds have in common."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    has_cells: ClassVar[bool] = False
    """Whether its run starts others, which do the work."""
    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            f"!has(self.hours) || {_HYPHENATED}.split(',').all(s, {_MINUTE.format(0)} != {_MINUTE.format(1)})",
            "hours names an empty span: use start-end, the end excluded, such as 7-10",
        ),
        (
            "!has(self.resources) || !has(self.resources.cpuRequest) || !has(self.resources.cpuLimit) || "
            "quantity(self.resources.cpuRequest).compareTo(quantity(self.resources.cpuLimit)) <= 0",
            "resources.cpuRequest is above resources.cpuLimit: Kubernetes takes no such pod",
        ),
    )
    """CEL over spec, with the message where it is false."""

    data_source: str = Field(
        min_length=1,
        max_length=1024,
        pattern=PRINTABLE,
        description="Object key of a month in the store, or a glob for several.",
    )
    coordinate_type: CoordinateType = Field("pickup", description="Cluster pick-ups, drop-offs or both.")
    use_location_ids: bool = Field(True, description="Place trips at taxi zones where the source has no coordinates.")
    max_samples: int | None = Field(
        None, ge=1, le=INT64_MAX, description="Points at most, drawn by seed; all where it is absent."
    )
    seed: int = Field(0, ge=0, le=INT64_MAX, description="Of every random choice.")
    hours: str | None = Field(
        None,
        max_length=200,
        pattern=HOURS,
        description="Only trips picked up in these hours, as `7-10` or `7:30-9:30,16-19`.",
    )
    weekdays: str | None = Field(
        None, max_length=200, pattern=WEEKDAYS, description="Only trips of these days, as `mon-fri` or `sat,sun`."
    )
    resources: Resources | None = Field(None, description="Sizes of the run's pod, in place of its work pool's.")
    ttl_seconds_after_finished: int | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="Delete the object so long after its end; absent: as the chart's operator.objectTtlSeconds.",
    )

    @property
    def deployment(self) -> str:
        """`<flow>/<deployment>` that runs it."""
        raise NotImplementedError

    @property
    def job_variables(self) -> dict[str, JsonValue]:
        """What of its pod is not as the work pool has it."""
        return {} if self.resources is None else {**self.resources.job_variables()}

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """As the flow takes them."""
        raise NotImplementedError


_NOT_OF_THE_FLOW = {"resources", "ttl_seconds_after_finished", "evaluate", "adapter"}


class ExperimentSpecification(Specification):
    """One setting, clustered once."""

    kind = "Experiment"
    plural = "experiments"
    short_names = ("exp",)

    adapter: Adapter = Field("sklearn", description="DBSCAN implementation; all give the same labels.")
    eps: Eps = Field(0.5, description="Radius of a neighbourhood, kilometres on the ground.")
    min_samples: MinSamples = Field(
        5, description="Trips within eps, the point's own included, that make a core point."
    )
    evaluate: bool = Field(True, description="Judge the clusters too: without it there is no score.")

    @property
    def deployment(self) -> str:
        """The flow by `evaluate`, the size by the adapter."""
        flow = "evaluation_pipeline" if self.evaluate else "experiment_pipeline"
        return f"{flow}/{'parallel' if self.adapter == 'sklearn_parallel' else 'default'}"

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """Those of `experiment_pipeline`."""
        return {**self.model_dump(exclude=_NOT_OF_THE_FLOW), "adapter_type": self.adapter}


class ParameterSweepSpecification(Specification):
    """Every combination of two lists over the same trips."""

    kind = "ParameterSweep"
    plural = "parametersweeps"
    short_names = ("sweep",)
    has_cells = True
    rules = (
        *Specification.rules,
        (
            "self.allowLarge || size(self.epsValues) * size(self.minSamplesValues) <= 10000",
            "the grid has more than 10,000 cells: set allowLarge, or leave some values out",
        ),
        ("self.epsValues.all(e, self.epsValues.exists_one(f, e == f))", "epsValues has a value twice"),
        (
            "self.minSamplesValues.all(m, self.minSamplesValues.exists_one(n, m == n))",
            "minSamplesValues has a value twice",
        ),
    )

    adapter: Adapter = Field("sklearn", description="DBSCAN implementation; all give the same labels.")
    eps_values: tuple[Eps, ...] = Field((0.3, 0.5, 0.7, 1.0), min_length=1, max_length=200, description="Radii, km.")
    min_samples_values: tuple[MinSamples, ...] = Field(
        (5, 10, 15), min_length=1, max_length=200, description="Trips that make a core point."
    )
    metric: Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})] = Field(
        "overall_score", description="What the best setting is best by."
    )
    max_parallel: int = Field(4, ge=1, le=100, description="Flow runs of cells at once.")
    max_failed: int = Field(0, ge=0, le=2**31 - 1, description="Cells that may fail.")
    resources: Resources | None = Field(
        None, description="Sizes of the pods that do the cells, in place of their work pool's."
    )
    allow_large: bool = Field(False, description="Take a grid of more than 10,000 cells.")

    @property
    def deployment(self) -> str:
        """There is one for all sizes: it starts runs of its cells."""
        return "parameter_sweep_flow/default"

    @property
    def job_variables(self) -> dict[str, JsonValue]:
        """The sizes reach the pods of the cells by the coordinator's settings (TAXI_CELLS__*)."""
        sizes = {} if self.resources is None else self.resources.job_variables()
        return {"env": {f"TAXI_CELLS__{name.upper()}": size for name, size in sizes.items()}} if sizes else {}

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """Those of `parameter_sweep_flow`."""
        return {**self.model_dump(mode="json", exclude=_NOT_OF_THE_FLOW), "adapter_type": self.adapter}


KINDS: tuple[type[Specification], ...] = (ExperimentSpecification, ParameterSweepSpecification)

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Cancelled"]
FINISHED: tuple[Phase, ...] = ("Succeeded", "Failed", "Cancelled")
