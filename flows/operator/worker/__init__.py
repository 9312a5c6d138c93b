"""The worker of a work pool: `python -m flows.operator.worker POOL`."""
