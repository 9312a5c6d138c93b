"""How a person gets in: addresses, passwords and image references of the installed release."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from flows.core.errors import ClusterError
from flows.operator.cluster.kube import Cluster
from flows.operator.names import FLOWS_NAMESPACE, PLATFORM_NAMESPACE
from flows.operator.prefect.release import IMAGE_VARIABLES, release_values
from flows.operator.prefect.values import Images


@dataclass(frozen=True)
class Service:
    """A service that people use from outside, by a port-forward."""

    name: str
    port: int
    """Of the Service."""
    local_port: int
    """Of the port-forward."""


SERVICES = (
    Service("prefect-server", 4200, 4200),
    Service("grafana", 80, 3000),
    Service("prometheus-server", 80, 9090),
    Service("prometheus-pushgateway", 9091, 9091),
    Service("minio", 9000, 9000),
)


@dataclass(frozen=True)
class Login:
    """The Secret that holds who signs in to something, and with what."""

    secret: str
    password_key: str
    user_key: str | None
    """None: the password is `user:password` in one."""


LOGINS = {
    "grafana": Login("grafana-admin", "admin-password", "admin-user"),
    "prefect": Login("prefect-auth", "auth-string", None),
    "minio": Login("minio-people", "MINIO_SECRET_KEY", "MINIO_ACCESS_KEY"),
}


def environment(
    cluster: Cluster, platform_namespace: str = PLATFORM_NAMESPACE, flows_namespace: str = FLOWS_NAMESPACE
) -> dict[str, str]:
    """Environment variables that let this machine use the release through its port-forwards.

    Raises:
        ClusterError: a Secret or ConfigMap of the release is not there.
    """
    images = release_values(cluster, flows_namespace).images
    minio = cluster.secret(platform_namespace, LOGINS["minio"].secret)
    return {
        "PREFECT_API_URL": f"{_address('prefect-server')}/api",
        "PREFECT_API_AUTH_STRING": password(cluster, "prefect", platform_namespace)[1],
        "MINIO_ENDPOINT": _address("minio").removeprefix("http://"),
        "MINIO_ACCESS_KEY": _key(minio, "MINIO_ACCESS_KEY", LOGINS["minio"].secret),
        "MINIO_SECRET_KEY": _key(minio, "MINIO_SECRET_KEY", LOGINS["minio"].secret),
        "MINIO_SECURE": "false",
        "PUSHGATEWAY_URL": _address("prometheus-pushgateway"),
        **{IMAGE_VARIABLES[name]: str(getattr(images, name)) for name in Images.model_fields},
    }


def exports(variables: Mapping[str, str]) -> str:
    """Lines for a shell's `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def password(cluster: Cluster, service: str, platform_namespace: str = PLATFORM_NAMESPACE) -> tuple[str | None, str]:
    """User and password of `grafana`, `prefect` or `minio`; no user where the password holds it.

    Raises:
        ClusterError: the Secret or its key is not there.
    """
    login = LOGINS[service]
    secret = cluster.secret(platform_namespace, login.secret)
    user = None if login.user_key is None else _key(secret, login.user_key, login.secret)
    return user, _key(secret, login.password_key, login.secret)


def _key(secret: Mapping[str, str], key: str, name: str) -> str:
    if key not in secret:
        raise ClusterError(
            f"Secret {name} has no key {key}. Delete it and run k8s/ensure-secrets.sh, which makes it anew."
        )
    return secret[key]


def _address(service: str) -> str:
    (local_port,) = (one.local_port for one in SERVICES if one.name == service)
    return f"http://localhost:{local_port}"
