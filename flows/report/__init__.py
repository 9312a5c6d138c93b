"""The report as one HTML file, and the same facts as Prefect artifacts. Needs the extra `evaluation` or `sweep`."""
