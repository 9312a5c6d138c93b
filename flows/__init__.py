"""Taxi Flows: hot spots in New York taxi trips, found with DBSCAN as Prefect flows."""

import os

__version__ = "0.1.0"

# Prefect reads these when it is imported.
# It gives the server that it starts by itself 20 s, too little for the first start on a slow machine.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
# No usage data leave the machine, neither the client's nor those of a server that is started here.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
