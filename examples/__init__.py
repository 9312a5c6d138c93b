"""Flows of your own, built on those of `flows`; `python examples/NAME.py` runs one."""
