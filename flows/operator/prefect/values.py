"""What the release decides about the declarations: `platform.yaml`, made by the chart `flows` from its values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from flows.core.errors import DeclarationError

_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")

Text = Annotated[str, StringConstraints(min_length=1)]
Cpu = Annotated[str, StringConstraints(pattern=rf"^{_CPU.pattern}$")]
Memory = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?([kMGT]i?)?$")]
Model = TypeVar("Model", bound=BaseModel)


def cpus(quantity: str) -> float:
    """CPUs that a Kubernetes quantity stands for: '100m' is 0.1."""
    number, milli = _CPU.fullmatch(quantity).groups()  # type: ignore[union-attr]  # matched by the field
    return float(number) / (1000 if milli else 1)


class _Strict(BaseModel):
    """camelCase as in Helm's values; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel)


class Images(_Strict):
    """References of the flow images of this release."""

    experiment: Text
    evaluation: Text
    sweep: Text
    aggregate: Text


class WorkPoolSize(_Strict):
    """How large the runs of one work pool are, and how many run at once."""

    concurrency_limit: int = Field(ge=1)
    cpu_request: Cpu
    cpu_limit: Cpu
    memory: Memory
    active_deadline_seconds: int = Field(ge=1)

    @model_validator(mode="after")
    def _limit_covers_request(self) -> Self:
        if cpus(self.cpu_limit) < cpus(self.cpu_request):
            raise ValueError(f"cpuLimit {self.cpu_limit} is below cpuRequest {self.cpu_request}")
        return self


class PlatformValues(_Strict):
    """The whole of platform.yaml."""

    namespace: Text
    images: Images
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"]
    environment: dict[str, str]
    secrets: tuple[Text, ...] = Field(strict=False)
    work_pools: dict[str, WorkPoolSize]
    pending_limit_seconds: int = Field(ge=60)


def parse_values(text: str, source: str) -> PlatformValues:
    """Read platform.yaml.

    Args:
        text: its content.
        source: what messages call it.

    Raises:
        DeclarationError: it is no YAML, a key is unknown or missing, or a value is of the wrong kind.
    """
    return checked(PlatformValues, parse_yaml(text, source), source)


def parse_yaml(text: str, source: str) -> JsonValue:
    """Plain data of a YAML or JSON text.

    Raises:
        DeclarationError: the text is not YAML; the message names source, line and column.
    """
    try:
        data: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DeclarationError(f"{source}: not YAML: {' '.join(str(error).split())}. Nothing was changed.") from error
    return data


def read_text(path: Path) -> str:
    """Content of a declaring file.

    Raises:
        DeclarationError: there is no such file.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(
            f"{path}: {error.strerror}. Run in the folder that holds prefect.yaml and k8s/, or name it: --declarations."
        ) from error


def checked(model: type[Model], data: object, source: str) -> Model:
    """The data as a model.

    Raises:
        DeclarationError: with each fault by its place in the file.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {_reason(fault['type'], fault['msg'])}"
            for fault in error.errors()
        )
        raise DeclarationError(f"{source}: {faults}. Nothing was changed.") from error


def _reason(kind: str, message: str) -> str:
    return "unknown key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
