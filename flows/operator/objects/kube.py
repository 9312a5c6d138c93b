"""Experiments, ParameterSweeps and the pods of their runs, in one namespace of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubernetes.client import ApiException, CustomObjectsApi, V1DeleteOptions, V1Preconditions
from pydantic import JsonValue, TypeAdapter, ValidationError

from flows.operator.faults import Faults
from flows.operator.kube import Cluster, Reference
from flows.operator.objects.schema import GROUP, KINDS, VERSION, Specification
from flows.operator.objects.status import (
    OOM_KILLED,
    UNSCHEDULABLE,
    WAITS_IN_VAIN,
    Status,
    Trouble,
    is_uuid,
    read_status,
)
from flows.operator.state import JsonObject

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

_TIMEOUT_SECONDS = 20
_NOT_FOUND = 404
_CONFLICT = 409
_TAKE_TURNS = "ErrImagePull", "ImagePullBackOff"
"""The former becomes the latter and back; one word is used for both."""
_RUN_LABEL = "prefect.io/flow-run-id"
_JSON: TypeAdapter[JsonObject] = TypeAdapter(dict[str, JsonValue])
_ITEMS: TypeAdapter[list[JsonObject]] = TypeAdapter(list[dict[str, JsonValue]])


@dataclass(frozen=True)
class Held:
    """An object as the cluster holds it, at a version of it. spec: None where it can't be read, which fault says."""

    kind: type[Specification]
    reference: Reference
    version: str
    generation: int
    spec: Specification | None
    fault: str
    status: Status


class Objects:
    """What the controller asks of Kubernetes. Every call raises ClusterError where it is refused or not answered."""

    def __init__(self, cluster: Cluster, namespace: str, faults: Faults | None = None) -> None:
        self._cluster, self._namespace, self._faults = cluster, namespace, faults or Faults()
        self._custom = CustomObjectsApi(cluster.core.api_client)

    def all(self) -> list[Held]:
        """Every object; of a kind that the cluster does not know there are none."""
        return [held for kind in KINDS for held in self._of(kind)]

    def _of(self, kind: type[Specification]) -> Iterator[Held]:
        with self._cluster.asked(f"{kind.plural} of the namespace {self._namespace}"):
            try:
                found = self._custom.list_namespaced_custom_object(
                    GROUP, VERSION, self._namespace, kind.plural, _request_timeout=_TIMEOUT_SECONDS
                )
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return
                raise
            items = _ITEMS.validate_python(_JSON.validate_python(found)["items"])
        for item in items:
            try:
                yield _held(kind, item)
            except (ValidationError, LookupError, TypeError) as error:
                self._faults.tell("unreadable object", f"one of the {kind.plural} can't be read: {error!r}")

    def write_status(self, held: Held, status: Status) -> bool:
        """Replace the status; one that is gone or has changed since, or is another of its name, is left alone.

        Returns:
            Whether the status was written.
        """
        return self._change(held, status)

    def delete(self, held: Held) -> None:
        """Delete the object, with the same care."""
        self._change(held, None)

    def _change(self, held: Held, status: Status | None) -> bool:
        where = (GROUP, VERSION, self._namespace, held.kind.plural, held.reference.name)
        with self._cluster.asked(f"{held.kind.kind} {held.reference.name} in the namespace {self._namespace}"):
            try:
                if status is None:
                    options = V1DeleteOptions(preconditions=V1Preconditions(resource_version=held.version))
                    self._custom.delete_namespaced_custom_object(
                        *where, body=options, _request_timeout=_TIMEOUT_SECONDS
                    )
                else:
                    # A patch that names a uid is taken by an object of another: only the version is compared.
                    body = {
                        "metadata": {"resourceVersion": held.version},
                        "status": status.model_dump(mode="json", by_alias=True),
                    }
                    self._custom.patch_namespaced_custom_object_status(*where, body, _request_timeout=_TIMEOUT_SECONDS)
            except ApiException as error:
                if error.status not in {_NOT_FOUND, _CONFLICT}:
                    raise
                return False
        return True

    def troubles(self) -> dict[str, Trouble]:
        """What keeps pods of flow runs from running, or ended them, by the id of the run."""
        with self._cluster.asked(f"pods of the namespace {self._namespace}"):
            pods = self._cluster.core.list_namespaced_pod(
                self._namespace,
                label_selector=_RUN_LABEL,
                field_selector="status.phase!=Succeeded",
                _request_timeout=_TIMEOUT_SECONDS,
            ).items
        return troubles_of(pods)


def troubles_of(pods: Iterable[V1Pod]) -> dict[str, Trouble]:
    """By the id of the flow run; of several pods of a run the newest counts."""
    found = {_run_id(pod): _trouble(pod) for pod in sorted(pods, key=_created)}
    # Anyone may give a pod the label.
    return {run_id: trouble for run_id, trouble in found.items() if trouble is not None and is_uuid(run_id)}


def _created(pod: V1Pod) -> str:
    return str(pod.metadata.creation_timestamp if pod.metadata is not None else "")


def _held(kind: type[Specification], item: Mapping[str, JsonValue]) -> Held:
    metadata = _JSON.validate_python(item["metadata"])
    reference = Reference(
        f"{GROUP}/{VERSION}", kind.kind, str(metadata["namespace"]), str(metadata["name"]), str(metadata["uid"])
    )
    spec, fault = None, ""
    try:
        spec = kind.model_validate(item.get("spec") or {})
    except ValidationError as error:
        fault = str(error)
    generation = TypeAdapter(int).validate_python(metadata["generation"])
    return Held(
        kind, reference, str(metadata["resourceVersion"]), generation, spec, fault, read_status(item.get("status"))
    )


def _run_id(pod: V1Pod) -> str:
    labels = (pod.metadata.labels if pod.metadata is not None else None) or {}
    return labels.get(_RUN_LABEL, "")


def _trouble(pod: V1Pod) -> Trouble | None:
    status = pod.status
    if status is None:
        return None
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return Trouble(condition.reason or UNSCHEDULABLE, condition.message or "")
    for container in status.container_statuses or ():
        if container.state is None:
            continue
        waiting, ended = container.state.waiting, container.state.terminated
        reason = "" if waiting is None else (waiting.reason or "").replace(*_TAKE_TURNS)
        if waiting is not None and reason in WAITS_IN_VAIN:
            return Trouble(reason, waiting.message or "")
        if ended is not None and ended.reason == OOM_KILLED:
            return Trouble(OOM_KILLED, "the container passed its memory limit")
    return None
