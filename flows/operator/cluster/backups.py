"""When the daily backup of Prefect's database last succeeded, by the word of Kubernetes.

Nobody who may push metrics or use Prefect's API can write that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flows.core.errors import ClusterError

if TYPE_CHECKING:
    from flows.operator.cluster.kube import Cluster
    from flows.operator.faults import Faults

CRON_JOB = "postgresql-backup"
"""As charts/postgres names it."""
EVERY_SECONDS = 120.0
_NOT_FOUND = 404


class _Part(BaseModel):
    """Of a CronJob. Kubernetes leaves out what is empty."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _Metadata(_Part):
    creation_timestamp: AwareDatetime | None = None


class _Specification(_Part):
    suspend: bool | None = None


class _Status(_Part):
    last_successful_time: AwareDatetime | None = None


class CronJob(_Part):
    """What is read of one."""

    metadata: _Metadata
    spec: _Specification = Field(default_factory=_Specification)
    status: _Status = Field(default_factory=_Status)


class Backups:
    """Looks at the CronJob now and then. values: the metric's, empty where no backup is asked for."""

    def __init__(self, cluster: Cluster, namespace: str, faults: Faults) -> None:
        self._cluster, self._namespace, self._faults = cluster, namespace, faults
        self.values: dict[tuple[str, ...], float] = {}

    def turn(self) -> None:
        """Look once; what can't be looked at is as it was, so that it grows old."""
        try:
            last_success = last_success_of(self._read())
        except ClusterError as error:
            self._faults.tell("backups", f"the time of the last backup is not known: {error}")
            return
        self._faults.over("backups", "the time of the last backup is known again")
        self.values = {} if last_success is None else {(): last_success}

    def _read(self) -> CronJob | None:
        from kubernetes.client import ApiException

        from flows.operator.cluster.api import BATCH

        with self._cluster.asked(f"CronJob {CRON_JOB} in the namespace {self._namespace}"):
            try:
                answer = self._cluster.api.read(self._namespace, "cronjobs", CRON_JOB, BATCH)
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise
            return CronJob.model_validate_json(answer)


def last_success_of(cron_job: CronJob | None) -> float | None:
    """Unix time of the last success, of the installation where none has succeeded; None where it is not asked for."""
    if cron_job is None or cron_job.spec.suspend:
        return None
    moment = cron_job.status.last_successful_time or cron_job.metadata.creation_timestamp
    return None if moment is None else moment.timestamp()
