"""Many settings over the same trips: `python scripts/run_parameter_sweep.py --data-object FILE --eps-values 0.3 0.5`.

The same as `taxi-flows sweep`, with the source as an option; --help lists the others.
"""

from flows.cli.options import source_option
from flows.cli.sweeps import sweep_command

main = sweep_command("run_parameter_sweep.py", source_option(required=False))

if __name__ == "__main__":
    main()
