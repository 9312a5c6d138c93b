"""When the daily backup of Prefect's database last succeeded, by the word of Kubernetes.

Nobody who may push metrics or use Prefect's API can write that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.errors import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import V1CronJob

    from flows.operator.faults import Faults
    from flows.operator.kube import Cluster

CRON_JOB = "postgresql-backup"
"""As charts/postgres names it."""
EVERY_SECONDS = 120.0
_TIMEOUT_SECONDS = 20
_NOT_FOUND = 404


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

    def _read(self) -> V1CronJob | None:
        from kubernetes.client import ApiException, BatchV1Api

        batch = BatchV1Api(self._cluster.core.api_client)
        with self._cluster.asked(f"CronJob {CRON_JOB} in the namespace {self._namespace}"):
            try:
                return batch.read_namespaced_cron_job(CRON_JOB, self._namespace, _request_timeout=_TIMEOUT_SECONDS)
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise


def last_success_of(cron_job: V1CronJob | None) -> float | None:
    """Unix time of the last success, of the installation where none has succeeded; None where it is not asked for."""
    if cron_job is None or cron_job.metadata is None or (cron_job.spec is not None and cron_job.spec.suspend):
        return None
    last_success = cron_job.status.last_successful_time if cron_job.status is not None else None
    moment = last_success or cron_job.metadata.creation_timestamp
    return None if moment is None else moment.timestamp()
