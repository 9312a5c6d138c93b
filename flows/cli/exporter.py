"""`exporter`: counts of flow runs for Prometheus."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.common import TaxiCommand


@click.command(cls=TaxiCommand)
@click.option("--port", type=click.IntRange(0, 65535), help="Where to serve; 0 for a free port.  [TAXI_EXPORTER__PORT]")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where counts are kept between starts.  [TAXI_EXPORTER__STATE_DIR]",
)
@click.option(
    "--interval-seconds",
    type=click.FloatRange(min=1),
    help="How often gauges are read.  [TAXI_EXPORTER__INTERVAL_SECONDS]",
)
def exporter(port: int | None, state_dir: Path | None, interval_seconds: float | None) -> None:
    """Serve counts of flow runs to Prometheus, from the events of the Prefect API that PREFECT_API_URL names."""
    import logging

    from flows.cli.prefect_home import prefect_home
    from flows.core.errors import SettingsError
    from flows.core.settings import load_settings

    settings = load_settings()
    if settings.outside.prefect_api_url is None:
        raise SettingsError("PREFECT_API_URL is not set. The exporter needs a server: http://host:4200/api, say.")
    prefect_home()
    from flows.telemetry.exporter.service import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    defaults = settings.exporter
    serve(
        defaults.port if port is None else port,
        state_dir or defaults.folder,
        interval_seconds or defaults.interval_seconds,
    )
