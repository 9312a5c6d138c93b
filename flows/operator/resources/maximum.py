"""The largest pods that objects may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from flows.core.errors import TooLargeError
from flows.core.settings import OperatorSettings, PodSizes


@dataclass(frozen=True)
class Maximum:
    """As Kubernetes writes quantities; None: as much as anyone likes."""

    cpu: str | None = None
    memory: str | None = None

    @classmethod
    def of(cls, settings: OperatorSettings) -> Maximum:
        """What the release sets."""
        return cls(settings.maximum_cpu, settings.maximum_memory)

    def check(self, sizes: PodSizes | None) -> None:
        """Refuse sizes that are larger.

        Raises:
            TooLargeError: with the size, and how large it may be.
        """
        if sizes is None:
            return
        asked = (
            ("cpuRequest", sizes.cpu_request, "cpu", self.cpu),
            ("cpuLimit", sizes.cpu_limit, "cpu", self.cpu),
            ("memory", sizes.memory, "memory", self.memory),
        )
        for name, size, resource, most in asked:
            if size is not None and most is not None and _quantity(size) > _quantity(most):
                raise TooLargeError(
                    f"resources.{name} is {size}, at most {most} is allowed (flowRuns.maximum.{resource} of the chart "
                    "flows). Create another object that asks for less."
                )


def _quantity(text: str) -> Decimal:
    return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]
