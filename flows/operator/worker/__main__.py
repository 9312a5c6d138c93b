"""`python -m flows.operator.worker POOL` serves a work pool."""

from flows.operator.worker.process import main

if __name__ == "__main__":
    main()
