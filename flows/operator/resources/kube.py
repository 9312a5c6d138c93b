"""Experiments, ParameterSweeps and the pods of their runs, in one namespace of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Thread

from kubernetes.client import ApiException, CustomObjectsApi, V1DeleteOptions, V1Preconditions

from flows.core.json_object import JsonObject
from flows.operator.cluster.kube import Cluster
from flows.operator.faults import Faults
from flows.operator.resources.mirror import Ended, Held, Mirror, read_object
from flows.operator.resources.pods import RUN_LABEL, Pods, troubles_of
from flows.operator.resources.schema import GROUP, KINDS, VERSION, Specification
from flows.operator.resources.status import Status, Trouble

_TIMEOUT_SECONDS = 20
_NOT_FOUND = 404
_CONFLICT = 409


class Objects:
    """What the controller asks of Kubernetes. Every call raises ClusterError where it is refused or not answered."""

    def __init__(self, cluster: Cluster, namespace: str, faults: Faults | None = None) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._custom = CustomObjectsApi(cluster.api.client)
        self._mirrors = {kind: Mirror(cluster, namespace, kind, faults or Faults()) for kind in KINDS}

    def all(self) -> list[Held | Ended]:
        """Every object that is not being deleted; of a kind that the cluster does not know there are none."""
        return [one for mirror in self._mirrors.values() for one in mirror.objects()]

    def watch(self, changed: Callable[[], None], stop: Event) -> None:
        """Keep them by watches from now on, until stop is set; changed is called where someone has changed one."""
        for kind, mirror in self._mirrors.items():
            Thread(target=mirror.follow, args=(changed, stop), name=f"watch-{kind.plural}", daemon=True).start()

    def read(self, one: Held | Ended) -> Held | None:
        """The whole object as it is now; None where it is gone or being deleted."""
        item = self._refreshed(one)
        return None if item is None else read_object(one.kind, item)

    def write_status(self, held: Held, status: Status) -> bool:
        """Replace the status; one that is gone or has changed since, or is another of its name, is left alone.

        Returns:
            Whether the status was written.
        """
        # A patch that names a uid is taken by an object of another: only the version is compared.
        body = {
            "metadata": {"resourceVersion": held.version},
            "status": status.model_dump(mode="json", by_alias=True),
        }
        where = self._where(held.kind, held.reference.name)
        with self._asked(held):
            try:
                answer = self._custom.patch_namespaced_custom_object_status(
                    *where, body, _request_timeout=_TIMEOUT_SECONDS
                )
            except ApiException as error:
                if not (_is_gone(error) or error.status == _CONFLICT):
                    raise
                answer = None
        if answer is None:
            self._refreshed(held)
            return False
        if isinstance(answer, dict):  # else the watch tells it
            self._mirrors[held.kind].put(answer)
        return True

    def delete(self, one: Held | Ended) -> None:
        """Delete the object, with the same care."""
        options = V1DeleteOptions(preconditions=V1Preconditions(resource_version=one.version))
        with self._asked(one):
            try:
                self._custom.delete_namespaced_custom_object(
                    *self._where(one.kind, one.name), body=options, _request_timeout=_TIMEOUT_SECONDS
                )
            except ApiException as error:
                if not (_is_gone(error) or error.status == _CONFLICT):
                    raise
                changed = True
            else:
                changed = False
        if changed:
            self._refreshed(one)
        else:
            self._mirrors[one.kind].drop(one.uid)

    def _refreshed(self, one: Held | Ended) -> JsonObject | None:
        """What Kubernetes tells of one object now, and from now on: None where it is gone, or another of its name."""
        mirror = self._mirrors[one.kind]
        with self._asked(one):
            try:
                item = self._custom.get_namespaced_custom_object(
                    *self._where(one.kind, one.name), _request_timeout=_TIMEOUT_SECONDS
                )
            except ApiException as error:
                if not _is_gone(error):
                    raise
                item = {}
            metadata = item.get("metadata", {})  # type: ignore[attr-defined]
            found = metadata.get("uid") == one.uid and not metadata.get("deletionTimestamp")
        if not found:
            mirror.drop(one.uid)
            return None
        mirror.put(item)  # type: ignore[arg-type]
        return item  # type: ignore[return-value]

    def _asked(self, one: Held | Ended) -> AbstractContextManager[None]:
        return self._cluster.asked(f"{one.kind.kind} {one.name} in the namespace {self._namespace}")

    def _where(self, kind: type[Specification], name: str) -> tuple[str, str, str, str, str]:
        return GROUP, VERSION, self._namespace, kind.plural, name

    def troubles(self) -> dict[str, Trouble]:
        """What keeps pods of flow runs from running, or ended them, by the id of the run."""
        with self._cluster.asked(f"pods of the namespace {self._namespace}"):
            selectors = {"labelSelector": RUN_LABEL, "fieldSelector": "status.phase!=Succeeded"}
            pods = Pods.model_validate_json(self._cluster.api.select(self._namespace, "pods", selectors))
        return troubles_of(pods.items)


def _is_gone(error: ApiException) -> bool:
    """Whether it is Kubernetes that has no such object: a proxy's 404 must not end its run."""
    return error.status == _NOT_FOUND and '"NotFound"' in str(error.body)
