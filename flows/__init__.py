"""Taxi Flows: hot spots in New York taxi trips, found with DBSCAN as Prefect flows."""

import os

__version__ = "0.1.0"

# Prefect gives the server that it starts by itself 20 s, too little for the first start on a slow machine. It reads
# this when it is imported.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
