"""`doctor`: what of the configuration works."""

from __future__ import annotations

import click

from flows.cli.common import TaxiCommand, echo, print_rows

FAILED = 1


@click.command(cls=TaxiCommand)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def doctor(as_json: bool) -> None:
    """Check the store, the Prefect API, the Pushgateway, the zone table and the limits of this machine."""
    from flows.cli.checks import examine
    from flows.core.settings import load_settings

    checks = examine(load_settings())
    if as_json:
        print_rows((), [check._asdict() for check in checks], as_json=True)
    else:
        for check in checks:
            mark = click.style("ok  ", fg="green") if check.ok else click.style("fail", fg="red", bold=True)
            echo(f"{mark}  {check.name}: {check.found.rstrip('.')}.{f' {check.mend}' if check.mend else ''}")
    if not all(check.ok for check in checks):
        raise click.exceptions.Exit(FAILED)
