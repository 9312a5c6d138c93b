"""Counts flow runs from Prefect's events, and serves the counts to Prometheus.

events     what of an event counts
intake     takes events in; passes over malformed ones and counts them
confirm    holds the end of an attempt until Prefect's API confirms it
counts     events -> counts; no input or output
state      the counts on disk
api        what is read from Prefect's API
platform   gauges from what was read
collector  counts and gauges -> families of metrics
service    all of it, until it is told to end; flows.telemetry.serving serves /metrics, /-/healthy and /-/ready
"""
