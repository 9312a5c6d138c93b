"""Every metric in one table, the push of a run's gauges, and the exporter that counts flow runs."""
