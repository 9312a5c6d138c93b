"""`run` and `evaluate`: one experiment, from checked parameters to the printed result."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from flows.cli.common import TaxiCommand, debugging, environment, stdout_console
from flows.errors import ParameterError, PrefectServerError, TaxiFlowsError

if TYPE_CHECKING:
    from flows.model import ExperimentSpec
    from flows.result import ExperimentResult
    from flows.settings import Settings

Pipeline = Literal["experiment_pipeline", "evaluation_pipeline"]

CLUSTER_SUFFIXES = (".geojson", ".parquet")
LABEL_SUFFIXES = (".npy",)


@dataclass(frozen=True)
class Output:
    """What becomes of the result: a table or JSON on stdout, and files."""

    as_json: bool
    labels: Path | None
    clusters: Path | None

    def check(self) -> None:
        """Refuse file names that can't be written, before hours of work.

        Raises:
            ParameterError: another suffix, no such folder, or no permission.
        """
        _check_file("--labels", self.labels, LABEL_SUFFIXES)
        _check_file("--clusters", self.clusters, CLUSTER_SUFFIXES)


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
        coordinate_type: str,
        use_location_ids: bool,
        max_samples: int | None,
        use_minio: bool,
        seed: int,
        hours: str | None,
        weekdays: str | None,
        skip_truncated: bool,
        allow_mostly_dropped: bool,
        as_json: bool,
        labels: Path | None,
        clusters: Path | None,
    ) -> None:
        from flows.parameters import experiment_spec
        from flows.settings import load_settings

        spec = experiment_spec(
            data_source=data_source,
            adapter_type=adapter_type,
            eps=eps,
            min_samples=min_samples,
            coordinate_type=coordinate_type,
            use_location_ids=use_location_ids,
            max_samples=max_samples,
            use_minio=use_minio,
            seed=seed,
            hours=hours,
            weekdays=weekdays,
        )
        output = Output(as_json, labels, clusters)
        output.check()
        asked = {"TAXI_SKIP_TRUNCATED": skip_truncated, "TAXI_ALLOW_MOSTLY_DROPPED": allow_mostly_dropped}
        with environment({variable: "true" for variable, wanted in asked.items() if wanted}):
            check_prefect(load_settings())
            finish(run_pipeline(pipeline, spec), output)

    return TaxiCommand(name, params=[source, *_options()], callback=command, help=summary)


def _options() -> list[click.Parameter]:
    """Options of an experiment; the defaults are the guide's, as those of the flows."""
    file = click.Path(dir_okay=False, path_type=Path)
    return [
        click.Option(["--adapter-type"], default="sklearn", show_default=True, help="Implementation of DBSCAN."),
        click.Option(["--eps"], type=float, default=0.5, show_default=True, help="Radius of a neighbourhood, km."),
        click.Option(["--min-samples"], type=int, default=5, show_default=True, help="Trips that make a core point."),
        click.Option(
            ["--coordinate-type"],
            default="pickup",
            show_default=True,
            metavar="pickup|dropoff|both",
            help="Ends to use.",
        ),
        click.Option(
            ["--use-location-ids/--no-use-location-ids"],
            default=True,
            show_default=True,
            help="Use zone centroids where the source has no coordinates.",
        ),
        click.Option(["--max-samples"], type=int, default=None, help="Draw that many points at random."),
        click.Option(
            ["--minio/--no-minio", "use_minio"],
            default=True,
            show_default=True,
            help="DATA_SOURCE names objects of the store, or local files.",
        ),
        click.Option(["--seed"], type=int, default=0, show_default=True, help="Of every random choice."),
        click.Option(
            ["--hours"], default=None, metavar="A-B", help="Pick-ups from A to B o'clock, such as 7-10 or 22-4."
        ),
        click.Option(["--weekdays"], default=None, metavar="DAYS", help="Pick-ups on these days, such as mon-fri."),
        click.Option(["--skip-truncated"], is_flag=True, help="Leave out a text file's last line where it is cut off."),
        click.Option(["--allow-mostly-dropped"], is_flag=True, help="Go on where most points are dropped."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the record as JSON and nothing else."),
        click.Option(["--labels"], type=file, metavar="FILE.npy", help="Write the label of each used point."),
        click.Option(
            ["--clusters"], type=file, metavar="FILE", help="Write hulls and centroids: .geojson or .parquet."
        ),
    ]


def check_prefect(settings: Settings) -> None:
    """Refuse a Prefect API that is configured and does not answer.

    Raises:
        PrefectServerError: with the address and what to do.
    """
    if settings.outside.prefect_api_url is None:
        return
    from flows.doctor import check_prefect_api

    check = check_prefect_api(settings)
    if not check.ok:
        raise PrefectServerError(f"{check.found}. {check.mend}")


def run_pipeline(pipeline: Pipeline, spec: ExperimentSpec) -> ExperimentResult:
    """Run a flow on the configured Prefect API, or on an embedded one. Whatever it prints goes to stderr."""
    from flows.embedded import start_prefect_api

    with redirect_stdout(sys.stderr):
        _refuse_missing_source(spec)
        wait_until_up = start_prefect_api(say=lambda message: click.echo(message, err=True))
        flow = _flow(pipeline)
        _import_libraries(spec)
        _quieten_prefect()
        wait_until_up()
        return flow(
            data_source=list(spec.data_source),
            adapter_type=spec.adapter_type,
            eps=spec.eps,
            min_samples=spec.min_samples,
            coordinate_type=spec.coordinate_type,
            use_location_ids=spec.use_location_ids,
            max_samples=spec.max_samples,
            use_minio=spec.use_minio,
            seed=spec.seed,
            hours=spec.hours,
            weekdays=spec.weekdays,
        )


def _refuse_missing_source(spec: ExperimentSpec) -> None:
    """Look for the data before a server is started for it."""
    from flows.settings import load_settings
    from flows.sources import resolve
    from flows.store import open_store

    settings = load_settings()
    with resolve(spec, settings, open_store(settings)):
        pass


def _import_libraries(spec: ExperimentSpec) -> None:
    """Import what the steps need while the server starts; it takes about as long."""
    import flows.steps.evaluate
    import flows.steps.ingest
    import flows.steps.prepare
    import flows.steps.record  # noqa: F401
    from flows.adapters.registry import get_adapter

    get_adapter(spec.adapter_type).load()


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

        export_labels(result.labels(), output.labels)
    if output.clusters is not None:
        from flows.steps.export import export_clusters

        export_clusters(result.clusters(), output.clusters)
    if output.as_json:
        click.echo(result.record.model_dump_json(indent=2))
        return
    from flows.steps.report import render

    render(result.record, stdout_console(), result.location)


def _check_file(option: str, file: Path | None, suffixes: tuple[str, ...]) -> None:
    if file is None:
        return
    if file.suffix.lower() not in suffixes:
        raise ParameterError(f"{option} is {str(file)!r}: the name must end in {' or '.join(suffixes)}.")
    folder = file.parent
    if not folder.is_dir():
        raise ParameterError(f"{option} is {str(file)!r}: there is no folder {str(folder)!r}. Create it first.")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise ParameterError(f"{option} is {str(file)!r}: it can't be written. Check its permissions.")


class _OwnFailures(logging.Filter):
    """Keeps Prefect's console log from repeating, with a traceback, what the command says in one line.

    Prefect's API handler has taken the record before, so the run's page shows it whole.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, TaxiFlowsError | KeyboardInterrupt):
            return False
        return not (record.levelno >= logging.ERROR and record.getMessage().startswith(("Finished in state", "Crash")))


def _quieten_prefect() -> None:
    """Leave Prefect's warnings on the console; TAXI_DEBUG or PREFECT_LOGGING_LEVEL brings the rest back."""
    if debugging():
        return
    from prefect.logging.handlers import PrefectConsoleHandler

    for handler in logging.getLogger().handlers:
        if not isinstance(handler, PrefectConsoleHandler):
            continue
        handler.addFilter(_OwnFailures())
        if "PREFECT_LOGGING_LEVEL" not in os.environ:
            handler.setLevel(logging.WARNING)
