"""Mutated inputs against every reader: each case ends with a result or with one of our own errors.

`python -m tests.fuzz --cases 1000 --seed 0` (`make fuzz N=1000`) runs cases of every kind in turn. Each runs in a child
process that may take 10 s and 1 GiB for it; a traceback, an abort, more time or more memory is a fault, and its input
is kept. A case follows from kind, seed and number alone: `--kind csv --seed 0 --only 17` runs that one again.
"""
