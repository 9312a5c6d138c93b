"""`run` and `evaluate`: one experiment, from checked parameters to the printed result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from flows.cli.common import stdout_console
from flows.cli.launch import check_prefect, import_libraries, launch, refuse_missing_source
from flows.cli.options import DataCommand, DataOptions, data_options, parameter_option
from flows.cli.outputs import check_file, refuse_to_overwrite, writing
from flows.model import parameter

if TYPE_CHECKING:
    from flows.model.spec import ExperimentSpec
    from flows.runtime.result import ExperimentResult

Pipeline = Literal["experiment_pipeline", "evaluation_pipeline"]

CLUSTER_SUFFIXES = (".geojson", ".parquet")
LABEL_SUFFIXES = (".npy",)


@dataclass(frozen=True)
class Output:
    """What becomes of the result: a table or JSON on stdout, and files."""

    as_json: bool
    labels: Path | None
    clusters: Path | None

    def check(self, spec: ExperimentSpec) -> None:
        """Refuse files that can't be written, or that are read, before hours of work.

        Raises:
            ParameterError: the message says why.
        """
        check_file("--labels", self.labels, LABEL_SUFFIXES)
        check_file("--clusters", self.clusters, CLUSTER_SUFFIXES)
        if not spec.use_minio:
            refuse_to_overwrite("--clusters", self.clusters, spec.data_source)


def experiment_command(name: str, pipeline: Pipeline, summary: str, source: click.Parameter) -> click.Command:
    """The command that runs a pipeline.

    Args:
        name: of the command.
        pipeline: the flow.
        summary: first line of its help.
        source: parameter `data_source`, one or more: an argument, or an option.
    """

    def command(
        data_source: tuple[str, ...],
        adapter_type: str,
        eps: float,
        min_samples: int,
        data: DataOptions,
        as_json: bool,
        labels: Path | None,
        clusters: Path | None,
    ) -> None:
        from flows.core.settings import load_settings
        from flows.model.parameters import spec_of

        setting = {"data_source": data_source, "adapter_type": adapter_type, "eps": eps, "min_samples": min_samples}
        spec = spec_of({**vars(data), **setting})
        output = Output(as_json, labels, clusters)
        output.check(spec)
        check_prefect(load_settings())
        finish(run_pipeline(pipeline, spec), output)

    return DataCommand(name, params=[source, *_options()], callback=command, help=summary)


def _options() -> list[click.Parameter]:
    """Options of an experiment."""
    file = click.Path(dir_okay=False, path_type=Path)
    return [
        parameter_option("--adapter-type", str, default=parameter.ADAPTER_TYPE),
        parameter_option("--eps", float, default=parameter.EPS_KM),
        parameter_option("--min-samples", int, default=parameter.MIN_SAMPLES),
        *data_options(),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the record as JSON and nothing else."),
        click.Option(["--labels"], type=file, metavar="FILE.npy", help="Write the label of each used point."),
        click.Option(
            ["--clusters"], type=file, metavar="FILE", help="Write hulls and centroids: .geojson or .parquet."
        ),
    ]


def run_pipeline(pipeline: Pipeline, spec: ExperimentSpec) -> ExperimentResult:
    """Run a flow on the configured Prefect API, or on an embedded one. Whatever it prints goes to stderr."""
    refuse_missing_source(spec)

    def load() -> Callable[[], ExperimentResult]:
        flow = _flow(pipeline)
        import_libraries(spec.adapter_type)
        return lambda: flow(**spec.model_dump(mode="json"))

    return launch(load)


def _flow(pipeline: Pipeline) -> Callable[..., ExperimentResult]:
    if pipeline == "experiment_pipeline":
        from flows.experiment_pipeline import experiment_pipeline

        return experiment_pipeline
    from flows.evaluation_flows import evaluation_pipeline

    return evaluation_pipeline


def finish(result: ExperimentResult, output: Output) -> None:
    """Write the files asked for, then print the result."""
    if output.labels is not None:
        from flows.steps.export import export_labels

        with writing(output.labels, result.location):
            export_labels(result.labels(), output.labels)
    if output.clusters is not None:
        from flows.steps.export import export_clusters

        with writing(output.clusters, result.location):
            export_clusters(result.clusters(), output.clusters)
    if output.as_json:
        click.echo(result.record.model_dump_json(indent=2))
        return
    from flows.report.terminal import render

    render(result.record, stdout_console(), result.location)
