"""A watch of one ConfigMap: who waits for what is in it looks at once, and not only when its time comes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from kubernetes.client import ApiException
from pydantic import BaseModel, Field
from urllib3.exceptions import HTTPError

from flows.operator.cluster.kube import Cluster
from flows.operator.faults import Faults

_WATCH_SECONDS = 300
_PAUSE_SECONDS = 30.0
_ANY = "0"
"""Begin at what the API server has at hand. Without a version some of them refuse the watch while nobody changes a
ConfigMap: they wait three seconds for news of etcd's newest version (504, "Too large resource version")."""


class _Metadata(BaseModel):
    version: str = Field(alias="resourceVersion")


class _ConfigMap(BaseModel):
    metadata: _Metadata


class _Event(BaseModel):
    object: _ConfigMap


def watch_config_map(
    cluster: Cluster, namespace: str, name: str, changed: Callable[[], None], faults: Faults, stop: Event
) -> None:
    """Call changed, in a thread of its own, for each new version of the ConfigMap until stop is set.

    A watch that breaks off costs some time and nothing else.
    """
    follow = _Follow(cluster, namespace, name, changed)

    def run() -> None:
        while not stop.is_set():
            try:
                follow.once()
            except (ApiException, HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                faults.tell("watch", f"the watch of ConfigMap {name} broke: {error}")
                stop.wait(_PAUSE_SECONDS)

    Thread(target=run, name=f"watch-{name}", daemon=True).start()


class _Follow:
    """One watch after the other; the version that was seen last wakes nobody again."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, changed: Callable[[], None]) -> None:
        self._cluster, self._namespace, self._name, self._changed = cluster, namespace, name, changed
        self._seen: str | None = None

    def once(self) -> None:
        """Until the server ends it."""
        asked = {"fieldSelector": f"metadata.name={self._name}", "resourceVersion": _ANY}
        for event in self._cluster.api.watch(self._namespace, "configmaps", asked, _WATCH_SECONDS):
            version = _Event.model_validate(event).object.metadata.version
            if self._seen is not None and version != self._seen:
                self._changed()
            self._seen = version
