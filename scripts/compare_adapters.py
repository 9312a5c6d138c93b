"""The same grid through several adapters: `python scripts/compare_adapters.py --data-object FILE`.

The same as `taxi-flows compare`, with the source as an option; --help lists the others.
"""

from flows.cli.options import source_option
from flows.cli.sweeps import compare_command

main = compare_command("compare_adapters.py", source_option())

if __name__ == "__main__":
    main()
