"""The event of the operator's pass reaches the server, whose clock of events goes on with it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from prefect.client.orchestration import get_client

from flows.operator.prefect.api import PASSED, post_passed


def test_a_pass_is_an_event_of_now() -> None:
    before = datetime.now(UTC)
    post_passed()
    wanted = {"filter": {"event": {"name": [PASSED]}, "occurred": {"since": before.isoformat()}}}
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + 30
        while not (found := client.request("POST", "/events/filter", json=wanted).json()["events"]):
            assert time.monotonic() < deadline, "the server has no such event"
            time.sleep(0.5)
    (event,) = found
    assert before <= datetime.fromisoformat(event["occurred"]) <= datetime.now(UTC)
    assert event["resource"] == {"prefect.resource.id": "taxi-flows.operator"}
