"""Alerts and dashboards, each defined once; `python -m scripts.telemetry` writes the files that the charts install."""
