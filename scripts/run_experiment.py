"""One DBSCAN experiment: `python scripts/run_experiment.py --data-object yellow_tripdata_2025-09.parquet`.

The same as `taxi-flows run`, with the source as an option; --help lists the others.
"""

from flows.cli.options import source_option
from flows.cli.run import experiment_command

main = experiment_command(
    "run_experiment.py",
    "experiment_pipeline",
    "Cluster the trips of one or more data objects and record the result.",
    source_option(),
)

if __name__ == "__main__":
    main()
