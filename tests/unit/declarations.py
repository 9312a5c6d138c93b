"""Values of a release, and the repository's own declarations, for the tests of the operator."""

from __future__ import annotations

from typing import Any

import yaml

from flows.operator.prefect.values import PlatformValues, parse_values

VALUES = """
namespace: flows-here
images:
  experiment: registry/experiment:1
  evaluation: registry/evaluation:1
  sweep: registry/sweep:1
  aggregate: registry/aggregate:1
imagePullPolicy: Always
environment: {MINIO_ENDPOINT: "minio:9000", MINIO_SECURE: "false"}
secrets: [minio-flows, more]
workPools:
  sequential: {concurrencyLimit: 2, cpuRequest: 250m, cpuLimit: "1", memory: 768Mi, activeDeadlineSeconds: 600}
  parallel: {concurrencyLimit: 1, cpuRequest: 500m, cpuLimit: "2", memory: 1Gi, activeDeadlineSeconds: 700}
  coordinator: {concurrencyLimit: 3, cpuRequest: 50m, cpuLimit: "1", memory: 512Mi, activeDeadlineSeconds: 800}
pendingLimitSeconds: 120
"""


def values(**changes: Any) -> PlatformValues:
    """The values above, with top-level keys replaced."""
    return parse_values(yaml.safe_dump({**yaml.safe_load(VALUES), **changes}), "platform.yaml")
