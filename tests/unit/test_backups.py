"""When the last backup was, as the CronJob's status tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import create_autospec

import pytest
from kubernetes.client import ApiException
from pydantic import JsonValue

from flows.operator.cluster.api import Api
from flows.operator.cluster.backups import Backups, CronJob, last_success_of
from flows.operator.cluster.kube import Cluster
from flows.operator.faults import Faults

INSTALLED, SUCCEEDED = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, 1, 31, tzinfo=UTC)


def as_told(succeeded: datetime | None, *, suspend: bool | None = None) -> bytes:
    """What Kubernetes answers."""
    metadata = {"name": "postgresql-backup", "creationTimestamp": _rfc3339(INSTALLED)}
    spec: dict[str, JsonValue] = {"schedule": "30 1 * * *"}
    if suspend is not None:
        spec["suspend"] = suspend
    status = {} if succeeded is None else {"lastSuccessfulTime": _rfc3339(succeeded)}
    return json.dumps({"kind": "CronJob", "metadata": metadata, "spec": spec, "status": status}).encode()


def a_cron_job(succeeded: datetime | None, *, suspend: bool | None = None) -> CronJob:
    return CronJob.model_validate_json(as_told(succeeded, suspend=suspend))


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("cron_job", "moment"),
    [
        (a_cron_job(SUCCEEDED), SUCCEEDED),
        (a_cron_job(SUCCEEDED, suspend=False), SUCCEEDED),
        (a_cron_job(None), INSTALLED),
        (a_cron_job(SUCCEEDED, suspend=True), None),
        (None, None),
    ],
)
def test_the_last_success_is_that_of_the_cron_job(cron_job: CronJob | None, moment: datetime | None) -> None:
    assert last_success_of(cron_job) == (None if moment is None else moment.timestamp())


def test_what_can_t_be_looked_at_is_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[bytes | ApiException] = [
        as_told(SUCCEEDED),
        ApiException(status=403, reason="Forbidden"),
        ApiException(status=500, reason="down"),
        as_told(SUCCEEDED, suspend=True),
        as_told(SUCCEEDED),
        ApiException(status=404, reason="Not Found"),
    ]
    asked: list[tuple[str, str]] = []

    def read(namespace: str, plural: str, name: str, group: str) -> bytes:
        asked.append((f"{group}/{plural}/{name}", namespace))
        answer = answers.pop(0)
        if isinstance(answer, ApiException):
            raise answer
        return answer

    api = create_autospec(Api, instance=True)
    api.read.side_effect = read
    backups = Backups(Cluster(api), "taxi-platform", Faults())
    known, found = {(): SUCCEEDED.timestamp()}, []
    for _ in tuple(answers):
        backups.turn()
        found.append(backups.values)
    assert found == [known, known, known, {}, known, {}]
    assert set(asked) == {("/apis/batch/v1/cronjobs/postgresql-backup", "taxi-platform")}
    assert caplog.text.count("the time of the last backup is not known") == 1
