"""A watch of one ConfigMap: who waits for what is in it looks at once, and not only when its time comes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from kubernetes.client import ApiException
from kubernetes.watch import Watch
from urllib3.exceptions import HTTPError

from flows.operator.faults import Faults
from flows.operator.kube import Cluster

_WATCH_SECONDS = 300
_PAUSE_SECONDS = 30.0
_TIMEOUT_SECONDS = 20


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
        events = Watch().stream(  # type: ignore[no-untyped-call]
            self._cluster.core.list_namespaced_config_map,
            self._namespace,
            field_selector=f"metadata.name={self._name}",
            timeout_seconds=_WATCH_SECONDS,
            _request_timeout=(_TIMEOUT_SECONDS, _WATCH_SECONDS + _TIMEOUT_SECONDS),
        )
        for event in events:
            version = event["raw_object"]["metadata"]["resourceVersion"]
            if self._seen is not None and version != self._seen:
                self._changed()
            self._seen = version
