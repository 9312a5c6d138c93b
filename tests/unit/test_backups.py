"""When the last backup was, as the CronJob's status tells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from kubernetes.client import ApiClient, ApiException, BatchV1Api, CoreV1Api, V1CronJob
from kubernetes.client.models import V1CronJobSpec, V1CronJobStatus, V1JobTemplateSpec, V1ObjectMeta

from flows.operator.backups import Backups, last_success_of
from flows.operator.faults import Faults
from flows.operator.kube import Cluster

INSTALLED, SUCCEEDED = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, 1, 31, tzinfo=UTC)


def a_cron_job(succeeded: datetime | None, *, suspend: bool | None = None) -> V1CronJob:
    spec = V1CronJobSpec(schedule="30 1 * * *", suspend=suspend, job_template=V1JobTemplateSpec())
    status = V1CronJobStatus(last_successful_time=succeeded)
    return V1CronJob(metadata=V1ObjectMeta(creation_timestamp=INSTALLED), spec=spec, status=status)


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
def test_the_last_success_is_that_of_the_cron_job(cron_job: V1CronJob | None, moment: datetime | None) -> None:
    assert last_success_of(cron_job) == (None if moment is None else moment.timestamp())


def test_what_can_t_be_looked_at_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[V1CronJob | ApiException] = [
        a_cron_job(SUCCEEDED),
        ApiException(status=403, reason="Forbidden"),
        ApiException(status=500, reason="down"),
        a_cron_job(SUCCEEDED, suspend=True),
        a_cron_job(SUCCEEDED),
        ApiException(status=404, reason="Not Found"),
    ]
    asked: list[tuple[str, str]] = []

    def read(_self: object, name: str, namespace: str, **_: object) -> V1CronJob:
        asked.append((name, namespace))
        answer = answers.pop(0)
        if isinstance(answer, ApiException):
            raise answer
        return answer

    monkeypatch.setattr(BatchV1Api, "read_namespaced_cron_job", read)
    backups = Backups(Cluster(CoreV1Api(ApiClient())), "taxi-platform", Faults())
    known, found = {(): SUCCEEDED.timestamp()}, []
    for _ in tuple(answers):
        backups.turn()
        found.append(backups.values)
    assert found == [known, known, known, {}, known, {}]
    assert set(asked) == {("postgresql-backup", "taxi-platform")}
    assert caplog.text.count("the time of the last backup is not known") == 1
