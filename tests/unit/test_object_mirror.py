"""Objects are listed in pages and kept by a watch; whatever Kubernetes answers, no object is taken for gone."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from threading import Event, Semaphore

import pytest
from kubernetes.client import ApiClient, Configuration
from pydantic import JsonValue

from flows.core.errors import ClusterError
from flows.operator.cluster.api import Api
from flows.operator.cluster.kube import Cluster
from flows.operator.resources import mirror
from flows.operator.resources.kube import Objects
from flows.operator.resources.mirror import Ended, Held, read_object
from flows.operator.resources.schema import ExperimentSpecification
from flows.operator.resources.status import Status
from tests.unit.kubernetes_server import PATH, Item, Kubernetes, experiment, kubernetes_server
from tests.unit.odd_server import HTML, ODD, Answer, Server, as_json, odd_server


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    with kubernetes_server() as state:
        yield state


@pytest.fixture
def server() -> Iterator[Server]:
    with odd_server() as server:
        yield server


def objects_of(url: str) -> Objects:
    configuration = Configuration()
    configuration.host, configuration.retries = url, False
    return Objects(Cluster(Api(ApiClient(configuration))), "ns")


@pytest.fixture
def watched(kubernetes: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Objects, Semaphore]]:
    """Objects that are watched, and what is released at each change that asks for a turn."""
    monkeypatch.setattr(mirror, "_PAUSE_SECONDS", 0.01)
    objects, stop, changed = objects_of(kubernetes.url), Event(), Semaphore(0)
    objects.watch(changed.release, stop)
    yield objects, changed
    stop.set()
    kubernetes.events.put(None)


def event(kind: str, item: Item) -> Item:
    return {"type": kind, "object": item}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lists(kubernetes: Kubernetes) -> int:
    return kubernetes.asked.count(f"GET {PATH}")


def test_a_list_comes_in_pages(kubernetes: Kubernetes) -> None:
    kubernetes.items = {str(number): experiment(number) for number in range(2 * mirror.PAGE + 1)}
    found = objects_of(kubernetes.url).all()
    assert len({one.uid for one in found}) == 2 * mirror.PAGE + 1
    assert lists(kubernetes) == 3


def test_what_is_watched_is_not_listed_again(kubernetes: Kubernetes, watched: tuple[Objects, Semaphore]) -> None:
    objects, changed = watched
    kubernetes.items = {"experiment-1": experiment(1)}
    assert len(objects.all()) == 1
    listed = lists(kubernetes)
    kubernetes.events.put(event("ADDED", experiment(2, "Pending", resourceVersion="7")))
    assert changed.acquire(timeout=10)
    found = objects.all()
    assert [type(one) for one in found] == [Ended, Held]
    assert found[1].version == "7"
    kubernetes.events.put(event("BOOKMARK", {"metadata": {"resourceVersion": "8"}}))
    kubernetes.events.put(event("DELETED", experiment(1)))
    assert changed.acquire(timeout=10)
    assert [one.name for one in objects.all()] == ["experiment-2"]
    assert lists(kubernetes) == listed


def test_the_operators_own_writes_ask_for_no_turn(kubernetes: Kubernetes, watched: tuple[Objects, Semaphore]) -> None:
    objects, changed = watched
    objects.all()
    kubernetes.events.put(event("MODIFIED", experiment(1)))
    wait_for(lambda: len(objects.all()) == 1)
    assert not changed.acquire(blocking=False)


@pytest.mark.parametrize(
    "breaks", [{"type": "ADDED"}, {"type": "ADDED", "object": None}, {"type": "ADDED", "object": {}}]
)
def test_a_watch_that_breaks_is_listed_anew(
    kubernetes: Kubernetes, watched: tuple[Objects, Semaphore], breaks: Item
) -> None:
    objects, _ = watched
    objects.all()
    kubernetes.items["experiment-3"] = experiment(3)
    kubernetes.events.put(breaks)
    wait_for(lambda: len(objects.all()) == 1)


def test_a_version_that_is_gone_is_listed_anew(
    kubernetes: Kubernetes, watched: tuple[Objects, Semaphore], caplog: pytest.LogCaptureFixture
) -> None:
    objects, _ = watched
    kubernetes.forgets = True
    objects.all()
    kubernetes.items["experiment-3"] = experiment(3)
    wait_for(lambda: len(objects.all()) == 1)
    assert caplog.messages == [], "it is nobody's fault"


def test_what_waits_for_its_finalizer_is_gone(kubernetes: Kubernetes) -> None:
    deleted = experiment(1, deletionTimestamp="2026-01-02T03:04:05Z", finalizers=["example.com/keep"])
    kubernetes.items = {"experiment-1": deleted, "experiment-2": experiment(2)}
    assert [one.name for one in objects_of(kubernetes.url).all()] == ["experiment-2"]


OTHER: list[dict[str, JsonValue]] = [{"labels": None}, {"annotations": {"a": "x" * 10_000}}, {"finalizers": [""]}]


@pytest.mark.parametrize("metadata", OTHER, ids=["labels", "annotations", "finalizers"])
def test_other_metadata_does_not_matter(kubernetes: Kubernetes, metadata: dict[str, JsonValue]) -> None:
    kubernetes.items = {"experiment-1": experiment(1, "Succeeded", **metadata)}
    assert len(objects_of(kubernetes.url).all()) == 1


ODD_OBJECTS: dict[str, Item] = {
    "empty": {},
    "no metadata": {"metadata": None},
    "no uid": {"metadata": {"name": "a"}},
    "no generation": experiment(1, "Succeeded", generation="x"),
}


@pytest.mark.parametrize("odd", ODD_OBJECTS.values(), ids=ODD_OBJECTS)
def test_one_that_can_not_be_read_holds_up_no_other(
    kubernetes: Kubernetes, odd: Item, caplog: pytest.LogCaptureFixture
) -> None:
    kubernetes.items = {"experiment-1": odd, "experiment-2": experiment(2)}
    assert [one.name for one in objects_of(kubernetes.url).all()] == ["experiment-2"]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_an_error_and_not_an_empty_cluster(server: Server, name: str) -> None:
    server.answer = ODD[name]
    with pytest.raises(ClusterError):
        objects_of(server.url).all()


@pytest.mark.parametrize("items", [None, {}, [None], ["a"]], ids=str)
def test_a_list_without_objects_is_an_error(server: Server, items: object) -> None:
    server.answer = as_json({"metadata": {"resourceVersion": "1"}, "items": items})
    with pytest.raises(ClusterError):
        objects_of(server.url).all()


def test_of_a_kind_that_is_not_installed_there_are_none(server: Server) -> None:
    server.answer = Answer(b"404 page not found\n", 404, {"Content-Type": "text/plain"})
    assert objects_of(server.url).all() == []


def held(number: int = 1) -> Held:
    return read_object(ExperimentSpecification, experiment(number, "Pending"))  # type: ignore[arg-type]


def test_a_written_status_is_known_at_once(kubernetes: Kubernetes, watched: tuple[Objects, Semaphore]) -> None:
    objects, _ = watched
    kubernetes.items = {"experiment-1": experiment(1, "Pending")}
    (one,) = objects.all()
    assert isinstance(one, Held)
    assert objects.write_status(one, Status(phase="Running", observed_generation=1))
    (one,) = objects.all()
    assert isinstance(one, Held)
    assert one.status.phase == "Running"


def test_one_that_is_gone_is_neither_written_nor_kept(
    kubernetes: Kubernetes, watched: tuple[Objects, Semaphore]
) -> None:
    objects, _ = watched
    kubernetes.items = {"experiment-1": experiment(1, "Pending"), "experiment-2": experiment(2)}
    assert len(objects.all()) == 2
    kubernetes.items.clear()
    assert not objects.write_status(held(), Status())
    assert objects.read(held()) is None
    objects.delete(held(2))
    assert objects.all() == []


def test_a_proxys_404_does_not_make_an_object_go(server: Server) -> None:
    objects = objects_of(server.url)
    server.answer = Answer(HTML, 404, {"Content-Type": "text/html"})
    for ask in (objects.read, objects.delete, lambda one: objects.write_status(one, Status())):
        with pytest.raises(ClusterError):
            ask(held())


def test_little_is_kept_of_what_has_ended(kubernetes: Kubernetes) -> None:
    kubernetes.items = {str(number): experiment(number) for number in range(200)}
    objects = objects_of(kubernetes.url)
    objects.all()
    tracemalloc.start()
    found = objects.all()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 200
    assert kept / 200 < 2000, "bytes: 20,000 in 40 MB"
