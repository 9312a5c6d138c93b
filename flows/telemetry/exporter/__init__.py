"""Counts flow runs from Prefect's events, and serves the counts to Prometheus.

events    what of an event counts
counts    events -> counts; no input or output
state     the counts on disk
api       what is read from Prefect's API
platform  gauges from what was read
collector counts and gauges -> families of metrics
server    /metrics, /-/healthy and /-/ready
service   all of it, until it is told to end
"""
