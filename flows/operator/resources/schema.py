"""What Experiment and ParameterSweep hold, once: the CRDs and docs/reference/crds.md are generated from here.

Names are camelCase as everywhere in Kubernetes; `parameters` gives the flow's own. Field types and bounds become the
structural schema; rules that no schema can say are in CEL (https://kubernetes.io/docs/reference/using-api/cel/).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from flows.core.frozen import INT64_MAX
from flows.core.settings import PodSizes
from flows.model import parameter
from flows.model.clock import DASHES, HOURS, WEEKDAYS
from flows.model.deployments import deployment_of
from flows.model.parameter import HELP
from flows.model.ranking import MetricName
from flows.model.spec import AdapterType, CoordinateType

GROUP, VERSION = "taxi.flows", "v1alpha1"

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""A control character is in no key, and no database takes the first of them."""

_HYPHENATED = "self.hours.replace(' ', '')" + "".join(f".replace('{dash}', '-')" for dash in DASHES)
_CLOCK = "s.split('-')[{0}]"
_MINUTE = f"int({_CLOCK}.split(':')[0]) * 60 + ({_CLOCK}.contains(':') ? int({_CLOCK}.split(':')[1]) : 0)"
"""CEL: the minute of the day at which a span `s` begins (0) or ends (1)."""

Eps = Annotated[float, Field(gt=0, le=100)]
MinSamples = Annotated[int, Field(ge=1, le=2**31 - 1)]


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
    coordinate_type: CoordinateType = Field("pickup", description=HELP["coordinate_type"])
    use_location_ids: bool = Field(True, description=HELP["use_location_ids"])
    max_samples: int | None = Field(None, ge=1, le=INT64_MAX, description=HELP["max_samples"])
    seed: int = Field(0, ge=0, le=INT64_MAX, description=HELP["seed"])
    hours: str | None = Field(
        None,
        max_length=200,
        pattern=HOURS,
        description=HELP["hours"],
    )
    weekdays: str | None = Field(None, max_length=200, pattern=WEEKDAYS, description=HELP["weekdays"])
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

    adapter: AdapterType = Field(parameter.ADAPTER_TYPE, description=HELP["adapter_type"])
    eps: Eps = Field(parameter.EPS_KM, description=HELP["eps"])
    min_samples: MinSamples = Field(parameter.MIN_SAMPLES, description=HELP["min_samples"])
    evaluate: bool = Field(True, description="Judge the clusters too: without it there is no score.")

    @property
    def deployment(self) -> str:
        """The flow by `evaluate`, the size by the adapter."""
        return deployment_of("evaluation_pipeline" if self.evaluate else "experiment_pipeline", self.adapter)

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

    adapter: AdapterType = Field(parameter.ADAPTER_TYPE, description=HELP["adapter_type"])
    eps_values: tuple[Eps, ...] = Field(
        parameter.EPS_VALUES_KM, min_length=1, max_length=200, description=HELP["eps_values"]
    )
    min_samples_values: tuple[MinSamples, ...] = Field(
        parameter.MIN_SAMPLES_VALUES, min_length=1, max_length=200, description=HELP["min_samples_values"]
    )
    metric: MetricName = Field(parameter.METRIC, description=HELP["metric"])
    max_parallel: int = Field(parameter.MAX_PARALLEL, ge=1, le=100, description=HELP["max_parallel"])
    max_failed: int = Field(0, ge=0, le=2**31 - 1, description=HELP["max_failed"])
    resources: Resources | None = Field(
        None, description="Sizes of the pods that do the cells, in place of their work pool's."
    )
    allow_large: bool = Field(False, description=HELP["allow_large"])

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
