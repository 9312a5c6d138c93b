"""What each alert does with some series, minute by minute."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.telemetry.alerts import DAILY, WEEKLY

ALL_FINE = {
    **{f'up{{job="{job}"}}': "1x3000" for job in ("exporter", "operator", "pushgateway", "prefect-server", "minio")},
    "prefect_exporter_connected": "1x3000",
    "prefect_exporter_last_poll_timestamp_seconds": "0+60x3000",
    "prefect_exporter_last_read_timestamp_seconds": "0+60x3000",
    "taxi_operator_last_success_timestamp_seconds": "0+60x3000",
}
"""What is silent by itself; a case puts its own series over it."""


@dataclass(frozen=True)
class Case:
    """What one alert does with some series: the minutes at which it fires and those at which it does not.

    series: promtool's notation, a value a minute.
    labels: what the firing alert carries besides its name and severity.
    """

    alert: str
    about: str
    series: dict[str, str]
    fires: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.alert}: {self.about}"


RUN = {"flow_name": "f", "deployment": "default", "work_pool": "sequential"}


def runs(status: str, values: str) -> dict[str, str]:
    """Counted attempts of one deployment."""
    return of("prefect_flow_runs_total", {**RUN, "status": status}, values)


def pods(reason: str, values: str) -> dict[str, str]:
    """Counted failures of pods."""
    return of("prefect_pod_failures_total", {"reason": reason}, values)


def of(metric: str, labels: dict[str, str], values: str) -> dict[str, str]:
    """One series."""
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {f"{metric}{{{inside}}}": values}


def deployment(flow: str, created: str, success: str | None = None) -> dict[str, str]:
    """When a deployment was made and last succeeded."""
    labels = {"flow_name": flow, "deployment": "default"}
    made = of("prefect_deployment_created_timestamp_seconds", labels, created)
    last = {} if success is None else of("prefect_deployment_last_success_timestamp_seconds", labels, success)
    return {**made, **last}


def down(job: str) -> dict[str, str]:
    """A target that answers for ten minutes, then not for twenty, then again."""
    return {f'up{{job="{job}"}}': "1x9 0x19 1x60"}


def gone(job: str) -> dict[str, str]:
    """A target that Prometheus no longer has."""
    return {f'up{{job="{job}"}}': "1x9 _x19 1x60"}


def daily(adapter: str, metric: str, values: str) -> dict[str, str]:
    """A gauge that the daily comparison pushed."""
    return of(f"taxi_experiment_{metric}", {"flow": DAILY, "adapter": adapter}, values)


OF_DAILY = {"flow_name": DAILY, "deployment": "default"}
OF_WEEKLY = {"flow_name": WEEKLY, "deployment": "default"}
CASES = (
    Case(
        "FlowFailureRateHigh",
        "one failure of one run, until an hour has passed",
        {**runs("failed", "0x9 1x200"), **runs("success", "0x210")},
        (12, 60),
        (5, 80),
        RUN,
    ),
    Case(
        "FlowFailureRateHigh",
        "one failure among five runs is below the rate",
        {**runs("failed", "0x9 1x200"), **runs("success", "0+1x4 4x205")},
        silent=(12, 60),
    ),
    Case(
        "FlowFailureRateHigh",
        "successes after it resolve it",
        {**runs("failed", "0x9 1x200"), **runs("success", "0x19 4x200")},
        (15,),
        (25,),
        RUN,
    ),
    Case(
        "FlowFailureRateHigh",
        "a counter that starts anew is no run",
        {**runs("failed", "7x9 0x200"), **runs("success", "9x9 0x200")},
        silent=(12, 60),
    ),
    Case(
        "FlowFailureRateHigh",
        "cancelled runs do not count",
        {**runs("failed", "0x200"), **runs("cancelled", "0x9 5x200"), **runs("success", "0x200")},
        silent=(12, 60),
    ),
    Case("FlowCrashed", "a crash, for half an hour", runs("crashed", "0x9 1x200"), (12, 30), (5, 45), RUN),
    Case("FlowCrashed", "a failure is no crash", runs("failed", "0x9 1x200"), silent=(12, 30)),
    Case("FlowCrashed", "a counter that starts anew", runs("crashed", "3x9 0x200"), silent=(12, 30)),
    Case("PodOutOfMemory", "a pod", pods("OOMKilled", "0x9 1x200"), (12, 30), (5, 45), {"reason": "OOMKilled"}),
    Case("PodOutOfMemory", "another reason", pods("Evicted", "0x9 1x200"), silent=(12, 30)),
    Case("PodOutOfMemory", "a counter that starts anew", pods("OOMKilled", "3x9 0x200"), silent=(12, 30)),
    Case(
        "FlowCannotStart", "no image", pods("ImagePullError", "0x9 1x200"), (12,), (5, 45), {"reason": "ImagePullError"}
    ),
    Case("FlowCannotStart", "no node", pods("Unschedulable", "0x9 1x200"), (12,), (5, 45), {"reason": "Unschedulable"}),
    Case("FlowCannotStart", "memory is another alert's", pods("OOMKilled", "0x9 1x200"), silent=(12, 30)),
    Case("FlowCannotStart", "a counter that starts anew", pods("Unschedulable", "3x9 0x200"), silent=(12, 30)),
    Case(
        "DailyComparisonMissing",
        "26 hours after the last success, until the next",
        deployment(DAILY, "0x3000", "0x1700 102060x300"),
        (1570, 1690),
        (1500, 1710),
        OF_DAILY,
    ),
    Case(
        "DailyComparisonMissing",
        "26 hours after the deployment where none succeeded",
        deployment(DAILY, "0x3000"),
        (1570,),
        (1500,),
        OF_DAILY,
    ),
    Case(
        "DailyComparisonMissing",
        "while the exporter is away it stays",
        deployment(DAILY, "0x1570 _x40 0x200", "0x1570 _x40 0x200"),
        (1580, 1600),
        (1500,),
        OF_DAILY,
    ),
    Case("DailyComparisonMissing", "another flow is none of its", deployment("f", "0x3000"), silent=(1600,)),
    Case("WeeklySweepMissing", "a week and four hours", deployment(WEEKLY, "-600000x100"), silent=(30,)),
    Case(
        "WeeklySweepMissing",
        "a week and more",
        deployment(WEEKLY, "-700000x100", "-620000x60 3600x30"),
        (10, 50),
        (70,),
        OF_WEEKLY,
    ),
    Case(
        "FlowRunsLate",
        "late runs for five minutes",
        of("prefect_late_flow_runs", {"work_pool": "parallel"}, "0x9 2x19 0x20"),
        (16,),
        (12, 32),
        {"work_pool": "parallel"},
    ),
    Case(
        "FlowRunsLate",
        "runs that wait for a slot",
        of("prefect_queued_flow_runs", {"work_pool": "p"}, "3x60"),
        silent=(30,),
    ),
    Case(
        "FlowStuckRunning",
        "longer than any Job may run",
        of("prefect_active_flow_max_age_seconds", {"flow_name": "f"}, "22000x9 23000x19 0x20"),
        (16,),
        (8, 32),
        {"flow_name": "f"},
    ),
    Case("ExporterDown", "it does not answer", down("exporter"), (16, 28), (8, 12, 32)),
    Case("ExporterDown", "it is gone", gone("exporter"), (21,), (8, 32)),
    Case("ExporterDown", "it lost the events", {"prefect_exporter_connected": "1x9 0x19 1x60"}, (16,), (8, 32)),
    Case(
        "ExporterDown",
        "its polls fail",
        {"prefect_exporter_last_poll_timestamp_seconds": "0+60x9 540x19 1800+60x60"},
        (20,),
        (8, 15, 32),
    ),
    Case(
        "ExporterDown",
        "Prefect is down: another alert's",
        {"prefect_exporter_connected": "1x9 0x60", **down("prefect-server")},
        silent=(8, 16, 28),
    ),
    Case(
        "ExporterNotReading",
        "each reading fails for half an hour",
        {"prefect_exporter_last_read_timestamp_seconds": "0+60x9 540x29 2400+60x60"},
        (26, 38),
        (8, 18, 23, 45),
    ),
    Case(
        "ExporterNotReading",
        "it has not read since its start",
        {"prefect_exporter_last_read_timestamp_seconds": "0x60"},
        (17, 50),
        (8,),
    ),
    Case(
        "ExporterNotReading",
        "Prefect is down: another alert's",
        {"prefect_exporter_last_read_timestamp_seconds": "0+60x9 540x29", **down("prefect-server")},
        silent=(8, 26, 28),
    ),
    Case("OperatorNotReconciling", "it does not answer", down("operator"), (16, 28), (8, 12, 32)),
    Case("OperatorNotReconciling", "it is gone", gone("operator"), (21,), (8, 32)),
    Case(
        "OperatorNotReconciling",
        "its passes fail",
        {"taxi_operator_last_success_timestamp_seconds": "0+60x9 540x19 1800+60x60"},
        (20,),
        (8, 15, 32),
    ),
    Case(
        "OperatorNotReconciling",
        "Prefect is down: another alert's",
        {"taxi_operator_last_success_timestamp_seconds": "0+60x9 540x50", **down("prefect-server")},
        silent=(8, 16, 28),
    ),
    Case("PushgatewayDown", "it does not answer", down("pushgateway"), (16,), (8, 12, 32)),
    Case("PrefectServerDown", "it does not answer", down("prefect-server"), (13,), (8, 11, 32)),
    Case("PrefectServerDown", "it is gone", gone("prefect-server"), (18,), (8, 32)),
    Case("ObjectStoreDown", "it does not answer", down("minio"), (13,), (8, 11, 32)),
    Case(
        "WorkerNotPolling",
        "two minutes, then two more",
        of("prefect_work_pool_last_poll_age_seconds", {"work_pool": "parallel"}, "3x9 130x9 3x20"),
        (13,),
        (8, 11, 22),
        {"work_pool": "parallel"},
    ),
    Case(
        "BackupMissing",
        "26 hours after the last one, until the next",
        {"taxi_operator_backup_last_success_timestamp_seconds": "0x1700 102060x300"},
        (1570, 1690),
        (1500, 1710),
    ),
    Case(
        "BackupMissing",
        "while the operator restarts it stays",
        {"taxi_operator_backup_last_success_timestamp_seconds": "0x1570 _x40 0x200"},
        (1580, 1600),
        (1500,),
    ),
    Case("BackupMissing", "it is suspended, or there is none", {}, silent=(1600, 2500)),
    Case(
        "VolumeFillingUp",
        "MinIO",
        {
            **of("minio_cluster_capacity_usable_free_bytes", {"job": "minio"}, "50x9 10x29 50x30"),
            **of("minio_cluster_capacity_usable_total_bytes", {"job": "minio"}, "100x100"),
        },
        (30,),
        (8, 20, 45),
        {"volume": "minio"},
    ),
    Case(
        "VolumeFillingUp",
        "PostgreSQL, by its last backup",
        {"postgres_database_size_bytes": "10x9 90x60", "postgres_volume_size_bytes": "100x100"},
        (30,),
        (8, 20),
        {"volume": "postgresql"},
    ),
    Case(
        "VolumeFillingUp",
        "Prometheus; without a limit of size it has none",
        {
            "prometheus_tsdb_storage_blocks_bytes": "80x60",
            "prometheus_tsdb_wal_storage_size_bytes": "5x60",
            "prometheus_tsdb_head_chunks_storage_size_bytes": "5x60",
            "prometheus_tsdb_retention_limit_bytes": "0x9 100x50",
        },
        (30,),
        (8, 20),
        {"volume": "prometheus"},
    ),
    Case(
        "ParallelSlowerThanSequential",
        "by more than a twentieth",
        daily("sklearn_parallel", "speed_up_ratio", "1.4x9 0.7x19 1.4x20"),
        (16,),
        (8, 32),
        {"flow": DAILY, "adapter": "sklearn_parallel"},
    ),
    Case(
        "ParallelSlowerThanSequential",
        "too few points: no ratio",
        daily("sklearn_parallel", "points", "9x60"),
        silent=(30,),
    ),
    Case(
        "ParallelSlowerThanSequential",
        "another flow",
        of("taxi_experiment_speed_up_ratio", {"flow": "f", "adapter": "sklearn_parallel"}, "0.5x60"),
        silent=(30,),
    ),
    Case(
        "QualityDropped",
        "below the median by more than the margin",
        {**daily("sklearn", "overall_score", "0.8x99 0.6x30 0.79x20"), **daily("sklearn", "speed_up_ratio", "1x150")},
        (106,),
        (95, 140),
        {"flow": DAILY, "adapter": "sklearn"},
    ),
    Case("QualityDropped", "too few points", daily("sklearn", "overall_score", "0.8x99 0.1x30"), silent=(106,)),
    Case(
        "QualityDropped",
        "within the margin",
        {**daily("sklearn", "overall_score", "0.8x99 0.75x30"), **daily("sklearn", "speed_up_ratio", "1x150")},
        silent=(106,),
    ),
)
