"""Brings Prefect to what the repository declares: work pools, limits, deployments and automations.

`declare` reads the files, `prefect_api` says what the server holds, `reconcile` compares and applies, `inventory` keeps
what is ours. Only this package speaks to Kubernetes and to Prefect's API of deployments.
"""
