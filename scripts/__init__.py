"""The guide's scripts, and what writes the files of dashboards and alerts."""
