"""`python -m flows` is `taxi-flows`: it also works where a script's first line can't hold the path."""

from flows.cli import main

main(prog_name="taxi-flows")
