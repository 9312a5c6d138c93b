"""One DBSCAN experiment: `python scripts/run_experiment.py --data-object yellow_tripdata_2025-09.parquet`.

The same as `taxi-flows run`, with the source as an option; --help lists the others.
"""

import click

from flows.cli.run import experiment_command

main = experiment_command(
    "run_experiment.py",
    "experiment_pipeline",
    "Cluster the trips of one or more data objects and record the result.",
    click.Option(
        ["--data-object", "--data-source", "data_source"],
        multiple=True,
        required=True,
        help="Object key, or with --no-minio a path; may be repeated.",
    ),
)

if __name__ == "__main__":
    main()
