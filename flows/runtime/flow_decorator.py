"""How every flow of this project is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.utilities.callables import parameter_docstrings

from flows.model.parameter import HELP
from flows.model.parameters import check_storable, plain

P = ParamSpec("P")
R = TypeVar("R")

_AFTER_ARGS = ("Returns:", "Raises:")


class CheckedFlow(Flow[P, R]):
    """A flow that takes values as Python code has them, and refuses parameters which Prefect's API can't hold.

    Numbers and arrays of NumPy, paths and tuples become what JSON has for them. The rest is refused before a flow run
    is made of it: one flow run with a number beyond 64 bits makes the API answer 500 to every list that it is in.
    """

    if not TYPE_CHECKING:  # Prefect's overloads say what a call takes and gives

        def __call__(self, *args: object, **parameters: object) -> object:
            """Run the flow."""
            values = [plain(value) for value in args]
            return super().__call__(*values, **{name: plain(value) for name, value in parameters.items()})

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:  # Prefect's own signature
        """What the flow run shows of its parameters.

        Raises:
            ParameterError: a number is not finite or beyond 64 bits, or text is not UTF-8.
        """
        check_storable(parameters)
        return super().serialize_parameters(parameters)


def flow(*, name: str) -> Callable[[Callable[P, R]], CheckedFlow[P, R]]:
    """The decorator of a flow. What it prints is logged; its parameters are checked by itself, in its own words.

    Its docstring gets the help of each parameter from `flows.model.parameter.HELP`, which Prefect's form shows, but for
    those that it explains itself.
    """

    def decorate(function: Callable[P, R]) -> CheckedFlow[P, R]:
        function.__doc__ = documented(function)
        return CheckedFlow(function, name=name, log_prints=True, validate_parameters=False)

    return decorate


def documented(function: Callable[..., object]) -> str:
    """The docstring of a function, with its parameters under `Args:`."""
    text = inspect.cleandoc(function.__doc__ or "")
    meanings = HELP | parameter_docstrings(text)
    lines = [f"    {name}: {meanings[name]}" for name in inspect.signature(function).parameters if name in meanings]
    sections = [section for section in text.split("\n\n") if not section.startswith("Args:")]
    place = next((place for place, section in enumerate(sections) if section.startswith(_AFTER_ARGS)), len(sections))
    return "\n\n".join([*sections[:place], "\n".join(["Args:", *lines]), *sections[place:]])
