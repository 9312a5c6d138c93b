"""The objects of one kind as the cluster holds them: listed in pages, then kept by a watch.

Of an object whose run has ended only a few keys are kept, so that thousands of them cost little.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from kubernetes.client import ApiException, CustomObjectsApi
from kubernetes.watch import Watch
from pydantic import JsonValue, TypeAdapter, ValidationError
from urllib3.exceptions import HTTPError

from flows.core.json_object import JsonObject
from flows.operator.cluster.kube import Cluster, Reference
from flows.operator.faults import Faults
from flows.operator.resources.schema import GROUP, VERSION, Phase, Specification
from flows.operator.resources.status import Status, read_status

PAGE = 200
"""Objects of one answer."""
RESYNC_SECONDS = 600.0
"""After so long everything is listed again, whatever the watch has told."""
WATCH_SECONDS = 60
"""The server ends a watch after so long; the next one goes on from there."""
_PAUSE_SECONDS = 5.0
_TIMEOUT_SECONDS = 20
_GONE = 410
_NO_SUCH_KIND = "404 page not found"
"""What the API server answers where a CRD is missing; a proxy's 404 is another."""
_JSON: TypeAdapter[JsonObject] = TypeAdapter(dict[str, JsonValue])
_INT: TypeAdapter[int] = TypeAdapter(int)


@dataclass(frozen=True, slots=True)
class Held:
    """An object as the cluster holds it, at a version of it. spec: None where it can't be read, which fault says."""

    kind: type[Specification]
    reference: Reference
    version: str
    generation: int
    spec: Specification | None
    fault: str
    status: Status

    @property
    def name(self) -> str:
        """Of the object."""
        return self.reference.name

    @property
    def uid(self) -> str:
        """Of the object."""
        return self.reference.uid

    @property
    def ended(self) -> Ended | None:
        """Its keys, where its run has ended."""
        status, ttl_seconds = self.status, self.spec.ttl_seconds_after_finished if self.spec else None
        if not status.finished or status.finished_at is None:
            return None
        return Ended(
            self.kind,
            self.reference.name,
            self.reference.uid,
            self.version,
            status.phase,
            status.flow_run_id,
            datetime.fromisoformat(status.finished_at),
            ttl_seconds,
            observed=status.observed_generation == self.generation,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What is kept of an object whose run has ended. observed: whether its status is of its last change."""

    kind: type[Specification]
    name: str
    uid: str
    version: str
    phase: Phase
    flow_run_id: str | None
    finished_at: datetime
    ttl_seconds: int | None
    observed: bool


def read_object(kind: type[Specification], item: Mapping[str, JsonValue]) -> Held:
    """An object from what Kubernetes tells.

    Raises:
        ValueError, LookupError, TypeError: it has no name, uid, version or generation.
    """
    metadata = item["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError(f"metadata is {metadata!r}")
    name, uid, version = (str(metadata[key]) for key in ("name", "uid", "resourceVersion"))
    spec, fault = None, ""
    try:
        spec = kind.model_validate(item.get("spec") or {})
    except ValidationError as error:
        fault = str(error)
    return Held(
        kind,
        Reference(f"{GROUP}/{VERSION}", kind.kind, str(metadata["namespace"]), name, uid),
        version,
        _INT.validate_python(metadata["generation"]),
        spec,
        fault,
        read_status(item.get("status")),
    )


class Mirror:
    """The objects of one kind in one namespace.

    Args:
        cluster: asked at its pace.
        namespace: of the objects.
        kind: of the objects.
        faults: told of what can't be read.
    """

    def __init__(self, cluster: Cluster, namespace: str, kind: type[Specification], faults: Faults) -> None:
        self._cluster, self._custom = cluster, CustomObjectsApi(cluster.api.client)
        self._namespace, self._kind, self._faults = namespace, kind, faults
        self._objects: dict[str, Held | Ended] = {}
        self._lock, self._listed = threading.Lock(), threading.Event()
        self._version: str | None = None
        self._listed_at, self._watched = 0.0, False

    def objects(self) -> list[Held | Ended]:
        """All but those that are being deleted.

        Raises:
            ClusterError: they have to be listed anew, and the cluster does not answer or refuses.
        """
        stale = time.monotonic() - self._listed_at > RESYNC_SECONDS
        if self._version is None or stale or not self._watched:
            self._list()
        with self._lock:
            return list(self._objects.values())

    def put(self, item: Mapping[str, JsonValue]) -> None:
        """Take over what Kubernetes tells of an object."""
        try:
            held = read_object(self._kind, item)
        except (ValueError, LookupError, TypeError) as error:
            self._faults.tell("unreadable object", f"one of the {self._kind.plural} can't be read: {error!r}")
            return
        with self._lock:
            _keep(self._objects, item, held)

    def drop(self, uid: str) -> None:
        """Forget an object."""
        with self._lock:
            self._objects.pop(uid, None)

    def _list(self) -> None:
        found: dict[str, Held | Ended] = {}
        version, more = None, ""
        while version is None or more:
            answer = self._page(more)
            if answer is None:
                break
            version, more = answer[0], answer[1]
            for item in answer[2]:
                try:
                    _keep(found, item, read_object(self._kind, item))
                except (ValueError, LookupError, TypeError) as error:
                    self._faults.tell("unreadable object", f"one of the {self._kind.plural} can't be read: {error!r}")
        with self._lock:
            self._objects, self._version, self._listed_at = found, version, time.monotonic()
        self._listed.set()

    def _page(self, more: str) -> tuple[str, str, list[JsonObject]] | None:
        """Its version, the token of the next page, and its objects; None where there is no such kind."""
        with self._cluster.asked(f"{self._kind.plural} of the namespace {self._namespace}"):
            try:
                page = self._custom.list_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self._namespace,
                    self._kind.plural,
                    limit=PAGE,
                    _continue=more or None,
                    _request_timeout=_TIMEOUT_SECONDS,
                )
            except ApiException as error:
                if str(error.body or "").strip() == _NO_SUCH_KIND:
                    return None
                raise
            metadata = _JSON.validate_python(page["metadata"])  # type: ignore[index]
            items = page["items"]  # type: ignore[index]
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise TypeError(f"items is no list of objects but {str(items)[:100]}")
            return str(metadata["resourceVersion"]), str(metadata.get("continue") or ""), items

    def follow(self, changed: Callable[[], None], stop: threading.Event) -> None:
        """Keep the objects up to date until stop is set; call changed where someone else has changed one.

        Where the watch breaks, or the version that it began at is forgotten, `objects` lists anew.
        """
        self._watched = True
        watch = Watch()  # type: ignore[no-untyped-call]
        while not stop.is_set():
            version = self._version
            if version is None:
                self._listed.wait(_PAUSE_SECONDS)
                self._listed.clear()
                continue
            try:
                for event in self._events(watch, version):
                    self._take(event, changed)
            except (ApiException, HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                if not (isinstance(error, ApiException) and error.status == _GONE):
                    self._faults.tell("watch", f"the watch of {self._kind.plural} broke, they are listed anew: {error}")
                self._version = None
                stop.wait(_PAUSE_SECONDS)
        self._watched = False

    def _events(self, watch: Watch, version: str) -> Iterator[JsonObject]:
        yield from watch.stream(  # type: ignore[no-untyped-call]
            self._custom.list_namespaced_custom_object,
            GROUP,
            VERSION,
            self._namespace,
            self._kind.plural,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=(_TIMEOUT_SECONDS, WATCH_SECONDS + _TIMEOUT_SECONDS),
        )

    def _take(self, event: JsonObject, changed: Callable[[], None]) -> None:
        item = event["raw_object"]  # None is a line that is no JSON: a TypeError, as any other that can't be read
        if not isinstance(item, dict) or not isinstance(metadata := item["metadata"], dict):
            raise TypeError(f"an event without an object: {str(event)[:200]}")
        if event["type"] == "DELETED":
            self.drop(str(metadata["uid"]))
        elif event["type"] != "BOOKMARK":
            self.put(item)
        self._version = str(metadata["resourceVersion"])
        if event["type"] != "BOOKMARK" and asks_for_a_turn({"type": event["type"], "object": item}):
            changed()


def _keep(objects: dict[str, Held | Ended], item: Mapping[str, JsonValue], held: Held) -> None:
    """One that is being deleted counts as gone, whatever finalizer holds it."""
    metadata, uid = item["metadata"], held.reference.uid
    if isinstance(metadata, dict) and metadata.get("deletionTimestamp"):
        objects.pop(uid, None)
    else:
        objects[uid] = held.ended or held


def asks_for_a_turn(event: Mapping[str, object]) -> bool:
    """Whether an object is new, changed or gone: the operator's own writes of the status wake nobody."""
    body = event["object"]
    if event["type"] == "DELETED" or not isinstance(body, dict):
        return True
    status = body.get("status")
    observed = status.get("observedGeneration") if isinstance(status, dict) else None
    return bool(body["metadata"].get("generation") != observed)
