"""What the installed release decided, kept by the chart `flows` in a ConfigMap."""

from __future__ import annotations

from flows.core.errors import DeclarationError
from flows.operator.cluster.kube import Cluster
from flows.operator.prefect.values import Images, PlatformValues, parse_values

PLATFORM_CONFIG_MAP = "taxi-flows-platform"
PLATFORM_KEY = "platform.yaml"

IMAGE_VARIABLES = {name: f"TAXI_IMAGE_{name.upper()}" for name in Images.model_fields}
"""Environment variable of each image reference; prefect.yaml writes `{{ images.<name> }}`."""


def release_values(cluster: Cluster, namespace: str) -> PlatformValues:
    """What the release that is installed in the namespace decides.

    Raises:
        DeclarationError: its values are wrong.
        ClusterError: its ConfigMap can't be read.
    """
    source = f"ConfigMap {PLATFORM_CONFIG_MAP}"
    text = cluster.config_map(namespace, PLATFORM_CONFIG_MAP).get(PLATFORM_KEY)
    if text is None:
        raise DeclarationError(f"{source} in the namespace {namespace} has no key {PLATFORM_KEY}.")
    return parse_values(text, source)
