"""The steps of a run: plain functions that know no Prefect, MinIO or Prometheus."""
