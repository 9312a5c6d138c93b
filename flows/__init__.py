"""Taxi Flows: hot spots in New York taxi trips, found with DBSCAN as Prefect flows."""

__version__ = "0.1.0"
