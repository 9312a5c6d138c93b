"""Keeps Prefect and Kubernetes as declared.

prefect: what the repository declares, compared with the server and applied. resources: the custom resources.
cluster: clients of Kubernetes. access: how people get in, backup and restore. worker: the process of a work pool.
"""
