"""Prometheus as the tests ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.cluster.kube import PLATFORM, forwarded


@dataclass(frozen=True)
class Sample:
    """One series of an instant query."""

    labels: dict[str, str]
    value: float


def ask(path: str, **parameters: str) -> Any:
    """The data of an answer of Prometheus' API."""
    with forwarded(PLATFORM, "prometheus-server", 80) as address:
        answer = httpx.get(f"http://{address}/api/v1/{path}", params=parameters, timeout=30).json()
    assert answer["status"] == "success", answer
    return answer["data"]


def query(expr: str) -> list[Sample]:
    """Series of an expression now."""
    result = ask("query", query=expr)["result"]
    return [Sample(one["metric"], float(one["value"][1])) for one in result]


def total(expr: str) -> float:
    """Sum of an expression's series now; 0 where there are none."""
    return sum(one.value for one in query(expr))


def alerts(name: str, state: str = "firing") -> list[dict[str, Any]]:
    """The alerts of a name in a state: labels and annotations."""
    found = ask("alerts")["alerts"]
    return [one for one in found if one["labels"]["alertname"] == name and one["state"] == state]
