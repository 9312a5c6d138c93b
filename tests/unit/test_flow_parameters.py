"""Every parameter of every flow has its help, its choices and its bounds in Prefect's form, and the same default on the
command line."""

from __future__ import annotations

from typing import Any

import click
import pytest
from prefect import Flow
from pydantic import JsonValue

from flows.adapters.registry import adapter_names
from flows.aggregate_results import aggregate_results_flow
from flows.cli import main
from flows.evaluation_flows import evaluation_pipeline
from flows.experiment_pipeline import experiment_pipeline
from flows.model.ranking import METRICS
from flows.parameter_sweep import compare_adapters_sweep_flow, parameter_sweep_flow
from flows.scheduled_flows import daily_adapter_comparison_flow, weekly_parameter_sweep_flow
from flows.sweep_cells import sweep_cells_flow

FLOWS = [
    experiment_pipeline,
    evaluation_pipeline,
    parameter_sweep_flow,
    compare_adapters_sweep_flow,
    daily_adapter_comparison_flow,
    weekly_parameter_sweep_flow,
    aggregate_results_flow,
    sweep_cells_flow,
]
COMMANDS: dict[str, Flow[Any, Any]] = {
    "run": experiment_pipeline,
    "evaluate": evaluation_pipeline,
    "sweep": parameter_sweep_flow,
    "compare": compare_adapters_sweep_flow,
    "aggregate": aggregate_results_flow,
}
OF_ANOTHER_NAME = {"allow_large": "yes"}


def fields(flow: Flow[Any, Any]) -> dict[str, dict[str, JsonValue]]:
    """Of the form of a flow, by parameter."""
    return flow.parameters.properties


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_parameter_has_help(flow: Flow[Any, Any]) -> None:
    lacking = [name for name, field in fields(flow).items() if not str(field.get("description", "")).endswith(".")]
    assert lacking == []


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_choices_are_listed_and_numbers_bounded(flow: Flow[Any, Any]) -> None:
    choices = {
        "adapter_type": list(adapter_names()),
        "metric": list(METRICS),
        "coordinate_type": ["pickup", "dropoff", "both"],
    }
    for name, field in fields(flow).items():
        if name in choices:
            assert field["enum"] == choices[name]
        for kind in [field, field.get("items"), *list_of(field.get("anyOf"))]:
            if isinstance(kind, dict) and kind.get("type") in ("integer", "number") and name != "chunk":
                assert kind.keys() & {"minimum", "exclusiveMinimum"}, name


def list_of(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


@pytest.mark.parametrize("command", COMMANDS)
def test_options_have_the_help_and_default_of_the_parameters(command: str) -> None:
    options = {one.name: one for one in main.commands[command].params if isinstance(one, click.Option)}
    for name, field in fields(COMMANDS[command]).items():
        option = options.get(OF_ANOTHER_NAME.get(name, name))
        if name == "data_source":
            continue
        assert option is not None, name
        assert option.help == field["description"]
        default = option.get_default(click.Context(main))
        assert (list(default) if isinstance(default, tuple) else default) == field.get("default")
