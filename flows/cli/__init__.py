"""The command line, `taxi-flows`.

Exit codes: 0 done, 1 the work failed, 2 a parameter or setting is wrong (nothing was touched), 130 Ctrl-C. Results go
to stdout, everything else to stderr. Modules of this package import only click at the top: `--help` is quick.
"""

from __future__ import annotations

import click

from flows import __version__
from flows.cli.aggregate import aggregate
from flows.cli.common import TaxiGroup
from flows.cli.data import data
from flows.cli.doctor import doctor
from flows.cli.exporter import exporter
from flows.cli.options import source_argument
from flows.cli.platform import platform
from flows.cli.records import records
from flows.cli.report import report
from flows.cli.run import experiment_command
from flows.cli.suggest import suggest
from flows.cli.sweeps import compare_command, sweep_command


@click.group(cls=TaxiGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="taxi-flows %(version)s")
def main() -> None:
    """Find hot spots in New York taxi trips with DBSCAN."""


main.add_command(
    experiment_command(
        "run", "experiment_pipeline", "Cluster the trips of DATA_SOURCE... and record the result.", source_argument()
    )
)
main.add_command(
    experiment_command(
        "evaluate",
        "evaluation_pipeline",
        "The same as run, with quality metrics and an overall score.",
        source_argument(),
    )
)
main.add_command(suggest)
main.add_command(sweep_command("sweep", source_argument(required=False)))
main.add_command(compare_command("compare", source_argument()))
main.add_command(aggregate)
main.add_command(records)
main.add_command(report)
main.add_command(data)
main.add_command(doctor)
main.add_command(exporter)
main.add_command(platform)
