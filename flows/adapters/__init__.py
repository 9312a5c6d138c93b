"""Clustering adapters: one protocol, one registry (flows.adapters.registry)."""
