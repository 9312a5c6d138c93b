"""Clients of Kubernetes: its API, kubectl, and the objects that the operator reads and writes."""
