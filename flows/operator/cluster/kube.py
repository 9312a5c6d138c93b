"""The few objects of the cluster that this package reads and writes."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from flows.core.errors import ClusterError, ClusterRefusalError
from flows.core.json_object import JsonObject
from flows.operator.cluster.pace import Pace

if TYPE_CHECKING:
    from kubernetes.client import ApiException

    from flows.operator.cluster.api import Api

_CONFIG_MAPS = "configmaps"
_NOT_FOUND = 404
_FIRST_FAULT = 500
_OF_ALL = {401, 429}
"""Refusals that concern every request; any other below the first fault is of the one that was made."""
_NO_RIGHT = {401, 403}
_LONGEST_WAIT_SECONDS = 30.0
"""For a server that asks for patience."""

REQUESTS_PER_SECOND = 20.0
"""To the API server, which others use too."""
_LONGEST_MESSAGE = 1024
"""Characters of an Event's message that Kubernetes takes."""
COMPONENT = "taxi-flows-operator"
"""Who says what Events tell."""

LABELS = {"app.kubernetes.io/part-of": "taxi-flows", "app.kubernetes.io/managed-by": "taxi-flows"}


@dataclass(frozen=True)
class Reference:
    """An object that Events are about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    uid: str = ""


class _Keys(BaseModel):
    """A Secret or a ConfigMap, as the API server tells it."""

    model_config = ConfigDict(frozen=True)

    metadata: _Metadata
    data: dict[str, str] | None = None


class Cluster:
    """Secrets, ConfigMaps and Events of one cluster, which is asked at a bounded rate."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._pace = Pace(REQUESTS_PER_SECOND)

    @property
    def requests(self) -> int:
        """How often the API server was asked."""
        return self._pace.count

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Once it is our turn to ask; what goes wrong then is a ClusterError about what was asked for."""
        self._pace.wait()
        with _answers(what, self._pace):
            yield

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """The keys of a Secret.

        Raises:
            ClusterError: it is not there, can't be read, or the cluster does not answer.
        """
        what = f"Secret {name} in the namespace {namespace}"
        with self.asked(what):
            data = _Keys.model_validate_json(self.api.read(namespace, "secrets", name)).data or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def config_map(self, namespace: str, name: str) -> dict[str, str]:
        """The keys of a ConfigMap.

        Raises:
            ClusterError: it is not there, can't be read, or the cluster does not answer.
        """
        with self.asked(_config_map(namespace, name)):
            return self._read(namespace, name).data or {}

    def config_map_reference(self, namespace: str, name: str) -> Reference:
        """The ConfigMap as Events name it.

        Raises:
            ClusterError: it is not there, can't be read, or the cluster does not answer.
        """
        with self.asked(_config_map(namespace, name)):
            uid = self._read(namespace, name).metadata.uid
        return Reference("v1", "ConfigMap", namespace, name, uid)

    def post_event(self, about: Reference, reason: str, message: str, warning: bool = False) -> None:
        """Say something in `kubectl describe` of an object.

        Raises:
            ClusterError: it is refused, or the cluster does not answer.
        """
        now = datetime.now(UTC).isoformat()
        involved = {"kind": about.kind, "namespace": about.namespace, "name": about.name, "uid": about.uid}
        event: JsonObject = {
            "metadata": {"generateName": f"{about.name}.", "namespace": about.namespace},
            "involvedObject": {"apiVersion": about.api_version, **involved},
            "reason": reason,
            "message": message[:_LONGEST_MESSAGE],
            "type": "Warning" if warning else "Normal",
            "source": {"component": COMPONENT},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        with self.asked(f"an Event of {about.kind} {about.name} in the namespace {about.namespace}"):
            self.api.create(about.namespace, "events", event)

    def config_map_if_there(self, namespace: str, name: str) -> dict[str, str] | None:
        """The keys of a ConfigMap, None where there is none.

        Raises:
            ClusterError: it can't be read, or the cluster does not answer.
        """
        from kubernetes.client import ApiException

        with self.asked(_config_map(namespace, name)):
            try:
                return self._read(namespace, name).data or {}
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise

    def write_config_map(self, namespace: str, name: str, data: dict[str, str]) -> None:
        """Create a ConfigMap, or replace these keys of it.

        Raises:
            ClusterError: it can't be written, or the cluster does not answer.
        """
        body: JsonObject = {"metadata": {"name": name, "labels": {**LABELS}}, "data": {**data}}
        exists = self.config_map_if_there(namespace, name) is not None
        with self.asked(_config_map(namespace, name)):
            if exists:
                self.api.patch(namespace, _CONFIG_MAPS, name, body)
            else:
                self.api.create(namespace, _CONFIG_MAPS, body)

    def _read(self, namespace: str, name: str) -> _Keys:
        return _Keys.model_validate_json(self.api.read(namespace, _CONFIG_MAPS, name))


def connect(context: str | None = None) -> Cluster:
    """The cluster that a pod runs in, or the one of a kube context.

    Args:
        context: name of a context of the kubeconfig; None: the pod's cluster, else the current context.

    Raises:
        ClusterError: there is none, or the package `kubernetes` is not installed.
    """
    try:
        from kubernetes import client, config
        from urllib3 import Retry

        from flows.operator.cluster.api import Api
    except ModuleNotFoundError as error:
        raise ClusterError(f"{error.name} is not installed. Run: pip install 'taxi-flows[operator]'") from error
    configuration = client.Configuration()
    # What the server asks us to wait is for the pace: urllib3 would sleep as long in the middle of a turn.
    configuration.retries = Retry(total=1, respect_retry_after_header=False)
    try:
        if context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise ClusterError(
            f"no kube context{f' {context}' if context else ''}: {str(error).rstrip('.')}. Make a cluster with "
            "`make up`, or choose one: `kubectl config get-contexts`, then `kubectl config use-context NAME`."
        ) from error
    return Cluster(Api(client.ApiClient(configuration)))


def _config_map(namespace: str, name: str) -> str:
    return f"ConfigMap {name} in the namespace {namespace}"


@contextmanager
def _answers(what: str, pace: Pace) -> Iterator[None]:
    """Turn what goes wrong into a ClusterError; a server that is asked too much is left in peace."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        if error.status == _NOT_FOUND:
            raise ClusterError(
                f"no {what}. Is the stack installed in this cluster (`kubectl config current-context`)? "
                "`skaffold run` installs it."
            ) from error
        pace.pause(_seconds_asked(error))
        of_this_one = error.status is not None and error.status < _FIRST_FAULT and error.status not in _OF_ALL
        kind = ClusterRefusalError if of_this_one else ClusterError
        advice = "Ask for that right." if error.status in _NO_RIGHT else " ".join(str(error.body or "").split())[:300]
        raise kind(f"Kubernetes refuses {what}: HTTP {error.status} {error.reason}. {advice}".rstrip()) from error
    except HTTPError as error:
        raise ClusterError(
            f"Kubernetes does not answer, asked for {what}: {error}. Is the cluster up, and the context the right one?"
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        found = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"Kubernetes gave an answer for {what} that can't be read: {type(error).__name__}: {found}. Is there a "
            "proxy before the API server?"
        ) from error


def _seconds_asked(error: ApiException) -> float:
    """How long the server asks us to wait."""
    seconds = str((error.headers or {}).get("Retry-After", ""))
    return min(float(seconds), _LONGEST_WAIT_SECONDS) if seconds.isascii() and seconds.isdigit() else 0.0
