"""Requests to the API server whose bodies and answers are plain JSON.

`CoreV1Api` and `BatchV1Api` import some 270 models, which take 70 MiB: a third of what the operator would need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubernetes.client import ApiClient, ApiException
from kubernetes.client.rest import RESTResponse
from kubernetes.watch import Watch
from pydantic import BaseModel, JsonValue

from flows.core.json_object import JsonObject

CORE, BATCH = "/api/v1", "/apis/batch/v1"
_TIMEOUT_SECONDS = 20
_OK = range(200, 300)
_JSON = "application/json"

_Timeout = float | tuple[float, float]


class _Written(BaseModel):
    """What is answered to a write, by Kubernetes and by no proxy."""

    metadata: dict[str, JsonValue]


class Api:
    """Namespaced objects. Every call raises ApiException where it is refused, HTTPError where nobody answers,
    and a write ValueError where the answer is not of Kubernetes.

    Args:
        client: knows the server, and reads the token of a service account anew.
    """

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    def read(self, namespace: str, plural: str, name: str, group: str = CORE) -> bytes:
        """One object."""
        return _body(self._request("GET", f"{group}/namespaces/{{namespace}}/{plural}/{{name}}", namespace, name=name))

    def select(self, namespace: str, plural: str, selectors: Mapping[str, str], group: str = CORE) -> bytes:
        """A list of those that `labelSelector` and `fieldSelector` select."""
        return _body(self._request("GET", f"{group}/namespaces/{{namespace}}/{plural}", namespace, query=selectors))

    def create(self, namespace: str, plural: str, body: JsonObject, group: str = CORE) -> None:
        """Make an object."""
        path = f"{group}/namespaces/{{namespace}}/{plural}"
        answer = _body(self._request("POST", path, namespace, body=body, content_type=_JSON))
        _Written.model_validate_json(answer)

    def patch(self, namespace: str, plural: str, name: str, body: JsonObject, group: str = CORE) -> None:
        """Replace these keys of an object."""
        path = f"{group}/namespaces/{{namespace}}/{plural}/{{name}}"
        kind = "application/merge-patch+json"
        answer = _body(self._request("PATCH", path, namespace, name=name, body=body, content_type=kind))
        _Written.model_validate_json(answer)

    def watch(
        self, namespace: str, plural: str, query: Mapping[str, str], seconds: int, group: str = CORE
    ) -> Iterator[JsonObject]:
        """Events of what selectors and `resourceVersion` ask for, until the server ends it after so many seconds."""

        def opened(*, timeout_seconds: int, watch: bool, _preload_content: bool) -> object:
            asked = {**query, "watch": str(watch).lower(), "timeoutSeconds": str(timeout_seconds)}
            path, timeout = f"{group}/namespaces/{{namespace}}/{plural}", (_TIMEOUT_SECONDS, seconds + _TIMEOUT_SECONDS)
            return self._request("GET", path, namespace, query=asked, timeout=timeout).response

        yield from Watch().stream(opened, timeout_seconds=seconds)  # type: ignore[no-untyped-call]

    def _request(
        self,
        method: str,
        path: str,
        namespace: str,
        *,
        name: str = "",
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str | None = None,
        timeout: _Timeout = _TIMEOUT_SECONDS,
    ) -> RESTResponse:
        request = self.client.param_serialize(
            method,
            path,
            path_params={"namespace": namespace, "name": name},
            query_params=[*(query or {}).items()],
            header_params={"Accept": _JSON, **({"Content-Type": content_type} if content_type else {})},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self.client.call_api(*request, _request_timeout=timeout)
        if response.status not in _OK:
            response.read()  # type: ignore[no-untyped-call]
            raise ApiException.from_response(http_resp=response, body=None, data=None)
        return response


def _body(response: RESTResponse) -> bytes:
    content: bytes = response.read()  # type: ignore[no-untyped-call]
    return content
