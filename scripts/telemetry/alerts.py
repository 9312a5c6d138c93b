"""Every alert, once.

None depends on a series that vanishes when the thing it watches is down: absent() asks for a target that is gone, the
time of the last success for a run that is missing. What the exporter tells of others is missing with the exporter, of
which ExporterDown tells.
"""

from __future__ import annotations

from flows.telemetry import metrics
from flows.telemetry.metrics import MetricDefinition
from scripts.telemetry.model import PREFECT_UI, Alert
from scripts.telemetry.recordings import FAILURE_RATIO

HOUR = 3600
DAILY, WEEKLY = "daily_adapter_comparison_flow", "weekly_parameter_sweep_flow"
LONGEST_RUN_HOURS = 6
"""activeDeadlineSeconds of the work pool `coordinator`, the longest of the three."""

STALE_SECONDS = 180
"""Since the exporter's last poll of Prefect; it serves no gauges where a poll fails."""

_RUN = "{{ $labels.flow_name }}/{{ $labels.deployment }}"
_LOOK_AT_RUNS = (
    f"Runs with their reasons: {PREFECT_UI}/runs?state=Failed&state=Crashed, or `prefect flow-run ls --flow-name "
    "{{ $labels.flow_name }}`; the log of one: `prefect flow-run logs ID`."
)


def _new(metric: MetricDefinition, which: str, by: str) -> str:
    """What was counted in half an hour."""
    return f"sum by ({by}) (increase({metric.name}{{{which}}}[30m]))"


def _silent(job: str) -> str:
    """1 where no target of the job answers, whether it is down, gone or never was."""
    return f'absent(up{{job="{job}"}} == 1)'


def _since_success(flow: str) -> str:
    """Seconds since a deployment of the flow last succeeded, or was made where none has."""
    of_flow = f'{{flow_name="{flow}"}}[1h]'  # an hour bridges restarts of the exporter
    return (
        f"time() - max by (flow_name, deployment) (max_over_time({metrics.DEPLOYMENT_LAST_SUCCESS.name}{of_flow}) "
        f"or max_over_time({metrics.DEPLOYMENT_CREATED.name}{of_flow}))"
    )


def _filled(volume: str, used: str, size: str) -> str:
    """The used share of a volume, under its name."""
    return f'label_replace(sum({used}) / sum({size}), "volume", "{volume}", "", "")'


VOLUMES = {
    "minio": (
        "minio_cluster_capacity_usable_total_bytes - minio_cluster_capacity_usable_free_bytes",
        "minio_cluster_capacity_usable_total_bytes",
    ),
    "prometheus": (
        "prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_wal_storage_size_bytes "
        "+ prometheus_tsdb_head_chunks_storage_size_bytes",
        "prometheus_tsdb_retention_limit_bytes > 0",  # 0: no limit
    ),
    "postgresql": (metrics.POSTGRES_DATABASE_SIZE.name, metrics.POSTGRES_VOLUME_SIZE.name),
}
"""Used bytes and size of each volume."""

FLOWS = (
    Alert(
        name="FlowFailureRateHigh",
        value=FAILURE_RATIO.name,
        threshold=0.25,
        severity="warning",
        summary=f"{_RUN}: {{{{ $value | humanizePercentage }}}} of the runs of the last hour failed",
        description=f"On the work pool {{{{ $labels.work_pool }}}}. {_LOOK_AT_RUNS}",
        runbook="Read the run's last log lines: the error names what failed, the value and what to do. A month that is "
        "missing: `taxi-flows data put FILE`. Start it again: `prefect deployment run FLOW/DEPLOYMENT`. It resolves "
        "when at most a quarter of the runs of an hour failed.",
    ),
    Alert(
        name="FlowCrashed",
        value=_new(metrics.FLOW_RUNS, 'status="crashed"', by="flow_name, deployment, work_pool"),
        severity="warning",
        summary=f"{_RUN}: a run crashed",
        description=f"Its pod ended without a result, on the work pool {{{{ $labels.work_pool }}}}. {_LOOK_AT_RUNS} "
        "Pods: `kubectl get jobs,pods -n taxi-flows`.",
        runbook="The pod died, was deleted, or its node went. The run's state message and `kubectl describe job` give "
        "the reason; PodOutOfMemory and FlowCannotStart fire beside it where that is it. Nothing half-written is "
        "left: start the run again.",
    ),
    Alert(
        name="PodOutOfMemory",
        value=_new(metrics.POD_FAILURES, 'reason="OOMKilled"', by="reason"),
        severity="warning",
        summary="A flow run's pod was killed for its memory",
        description="`kubectl get pods -n taxi-flows` shows OOMKilled; the label prefect.io/flow-run-id names the run. "
        f"Runs: {PREFECT_UI}/runs?state=Crashed.",
        runbook="Give the run more memory (`prefect deployment run ... --job-variable memory=4Gi`), the pool "
        "(`workPools.NAME.memory` in the values), or use the `grid` adapter, which needs least; `max_samples` draws a "
        "part.",
    ),
    Alert(
        name="FlowCannotStart",
        value=_new(metrics.POD_FAILURES, 'reason=~"ImagePullError|Unschedulable|CrashLoopBackOff"', by="reason"),
        severity="critical",
        summary="A flow run can't start: {{ $labels.reason }}",
        description="`kubectl get pods -n taxi-flows`, then `kubectl describe pod NAME`: its events say what is "
        "missing.",
        runbook="ImagePullError: the image is not in the registry, or the node can't reach it; deploy again (`make "
        "up`). Unschedulable: no node has the CPU or memory that the pool asks for; lower `workPools.NAME.cpuRequest` "
        "or `concurrencyLimit`. The run is cancelled after `pendingLimitSeconds`, its Job deleted.",
    ),
    Alert(
        name="DailyComparisonMissing",
        value=_since_success(DAILY),
        threshold=26 * HOUR,
        for_minutes=5,
        severity="critical",
        summary="No daily comparison has succeeded for {{ $value | humanizeDuration }}",
        description=f"It is due at 02:00 UTC: {_RUN}. {_LOOK_AT_RUNS}",
        runbook="See whether it ran at all (Prefect UI, Deployments: is its schedule active?), then as for "
        "FlowFailureRateHigh. A run that succeeds resolves it.",
    ),
    Alert(
        name="WeeklySweepMissing",
        value=_since_success(WEEKLY),
        threshold=(7 * 24 + 4) * HOUR,
        for_minutes=5,
        severity="warning",
        summary="No weekly sweep has succeeded for {{ $value | humanizeDuration }}",
        description=f"It is due on Mondays at 03:00 UTC: {_RUN}. {_LOOK_AT_RUNS}",
        runbook="As for DailyComparisonMissing.",
    ),
    Alert(
        name="FlowRunsLate",
        value=f"max by (work_pool) ({metrics.LATE_FLOW_RUNS.name})",
        for_minutes=5,
        severity="warning",
        summary="{{ $value }} flow runs are late on the work pool {{ $labels.work_pool }}",
        description="They are due and a slot is free, yet no worker has started them. "
        "`kubectl logs -n taxi-flows deployment/worker-{{ $labels.work_pool }}`.",
        runbook="The pool's worker is down, can't make Jobs (quota, rights), or the pool is paused: "
        "`prefect work-pool inspect NAME`. Runs that wait for a slot are not late.",
    ),
    Alert(
        name="FlowStuckRunning",
        value=f"max by (flow_name) ({metrics.ACTIVE_FLOW_MAX_AGE.name})",
        threshold=LONGEST_RUN_HOURS * HOUR + 600,
        for_minutes=5,
        severity="warning",
        summary="{{ $labels.flow_name }} has been running for {{ $value | humanizeDuration }}",
        description=f"That is longer than any work pool lets a Job run. {PREFECT_UI}/runs?state=Running.",
        runbook="Its Job is gone and Prefect was not told. `prefect flow-run cancel ID`, or set it to Crashed in the "
        "UI; then look whether the worker and its observer are well.",
    ),
)

PLATFORM = (
    Alert(
        name="ExporterDown",
        value=f"{_silent('exporter')} or ((1 - {metrics.EXPORTER_CONNECTED.name} > 0 or "
        f"time() - {metrics.EXPORTER_LAST_POLL.name} > {STALE_SECONDS}) unless on () {_silent('prefect-server')})",
        for_minutes=5,
        severity="critical",
        summary="The exporter of flow-run metrics is down or has lost Prefect",
        description="Alerts on flow runs know nothing until it is back. `kubectl logs -n taxi-flows exporter-0`.",
        runbook="`kubectl describe pod -n taxi-flows exporter-0`. Nothing is lost: after its restart it reads what "
        "happened meanwhile, as far back as the server keeps events (7 days).",
    ),
    Alert(
        name="ExporterNotReading",
        value=f"time() - {metrics.EXPORTER_LAST_READ.name} unless on () {_silent('prefect-server')}",
        threshold=600,
        for_minutes=5,
        severity="warning",
        summary="The exporter has not read Prefect's events to the end for {{ $value | humanizeDuration }}",
        description="Runs that end while the stream of events is broken are not counted until it does. "
        "`kubectl logs -n taxi-flows exporter-0`.",
        runbook="Its log says at each reading what Prefect's API answers. After an outage of days a reading takes some "
        "minutes. An answer that is not Prefect's: look at the server and at what stands before it "
        "(`kubectl logs -n taxi-platform deployment/prefect-server`). A single event can't cause it: what can't be "
        "read is passed over and counted in `prefect_exporter_bad_events_total`.",
    ),
    Alert(
        name="OperatorNotReconciling",
        value=f"{_silent('operator')} or "
        f"(time() - {metrics.RECONCILE_LAST_SUCCESS.name} > {STALE_SECONDS} unless on () {_silent('prefect-server')})",
        for_minutes=5,
        severity="warning",
        summary="The operator is down, or can't bring Prefect to what is declared",
        description="What is changed by hand stays, and Experiments and ParameterSweeps wait. "
        "`kubectl logs -n taxi-flows deployment/operator`.",
        runbook="`kubectl describe configmap -n taxi-flows taxi-flows-platform`: its Events say what is refused, "
        "as does `kubectl logs -n taxi-flows deployment/operator` at each pass. "
        "Runs and schedules go on as they are.",
    ),
    Alert(
        name="PushgatewayDown",
        value=_silent("pushgateway"),
        for_minutes=5,
        severity="warning",
        summary="The Pushgateway does not answer",
        description="Runs go on and warn that their metrics were not pushed. "
        "`kubectl logs -n taxi-platform prometheus-pushgateway-0`.",
        runbook="`kubectl describe pod -n taxi-platform prometheus-pushgateway-0`. The next run of each flow pushes "
        "its metrics again.",
    ),
    Alert(
        name="PrefectServerDown",
        value=_silent("prefect-server"),
        for_minutes=2,
        severity="critical",
        summary="Prefect's server does not answer",
        description="No run starts; those that run wait for it. `kubectl logs -n taxi-platform "
        "deployment/prefect-server`.",
        runbook="`kubectl get pods -n taxi-platform`: most often PostgreSQL is down or its volume is full. Schedules "
        "that were missed are caught up once it is back.",
    ),
    Alert(
        name="WorkerNotPolling",
        value=f"max by (work_pool) ({metrics.WORK_POOL_LAST_POLL_AGE.name})",
        threshold=120,
        for_minutes=2,
        severity="critical",
        summary="No worker has asked for runs of {{ $labels.work_pool }} for {{ $value | humanizeDuration }}",
        description="Its runs wait. `kubectl logs -n taxi-flows deployment/worker-{{ $labels.work_pool }}`.",
        runbook="`kubectl describe pod -n taxi-flows -l taxi-flows/work-pool=NAME`. A worker that can't reach "
        "Prefect's API restarts by itself; a wrong Secret `prefect-auth` shows as 401 in its log.",
    ),
    Alert(
        name="ObjectStoreDown",
        value=_silent("minio"),
        for_minutes=2,
        severity="critical",
        summary="MinIO does not answer",
        description="Runs can't read months or keep records. `kubectl logs -n taxi-platform minio-0`.",
        runbook="`kubectl describe pod -n taxi-platform minio-0`. Runs that it broke off failed with a clear error and "
        "left nothing half-written: start them again.",
    ),
    Alert(
        name="BackupMissing",
        value=f"time() - max(max_over_time({metrics.BACKUP_LAST_SUCCESS.name}[1h]))",
        threshold=26 * HOUR,
        for_minutes=5,
        severity="critical",
        summary="No backup of Prefect's database has succeeded for {{ $value | humanizeDuration }}",
        description="It is due at 01:30 UTC. `kubectl get cronjob,jobs -n taxi-platform`, then "
        "`kubectl logs -n taxi-platform job/NAME --all-containers`.",
        runbook="The log of the last Job names what failed: pg_dump, or the copy to the object store (its keys, or a "
        "full volume). Make one now: `kubectl create job -n taxi-platform --from=cronjob/postgresql-backup again`. It "
        "resolves once a backup succeeds; what `make backup` copies is not counted. Where no backup is wanted, or it "
        "is made in another way, set `postgres.backup.suspend` to true.",
    ),
    Alert(
        name="VolumeFillingUp",
        value=" or ".join(_filled(volume, used, size) for volume, (used, size) in VOLUMES.items()),
        threshold=0.85,
        for_minutes=15,
        severity="warning",
        summary="The volume of {{ $labels.volume }} is {{ $value | humanizePercentage }} full",
        description="`kubectl get pvc -n taxi-platform`. PostgreSQL's size is that of its last backup.",
        runbook="minio: delete months that nobody needs, as root with their old versions "
        "(`docs/operations/backup.md`), or move to a larger volume with `make backup` and "
        "`make restore`. prometheus: its oldest samples go early; raise "
        "`prometheus.retention.size` and the volume, or accept fewer days. postgresql: shorten "
        "`prefect-server.retention.flowRunDays`, or take a larger volume.",
    ),
)

_OF_DAILY = f'{{flow="{DAILY}"}}'
RESULTS = (
    Alert(
        name="ParallelSlowerThanSequential",
        value=f'{metrics.SPEED_UP.name}{{flow="{DAILY}", adapter="sklearn_parallel"}}',
        comparison="<",
        threshold=0.95,
        for_minutes=5,
        severity="warning",
        summary="The parallel adapter was slower than the sequential one: {{ $value | humanize }} times its speed",
        description="In the last daily comparison; one with too few points to tell has no ratio. "
        f"{PREFECT_UI}/runs?state=Completed.",
        runbook="Look at the comparison's report: did the pods share a node with other work, did the parallel run have "
        "fewer CPUs than its limit (`n_jobs` in the record), has the month become small?",
    ),
    Alert(
        name="QualityDropped",
        value=f"(quantile_over_time(0.5, {metrics.OVERALL_SCORE.name}{_OF_DAILY}[7d]) - {metrics.OVERALL_SCORE.name}"
        f"{_OF_DAILY}) and on (flow, adapter) {metrics.SPEED_UP.name}{_OF_DAILY}",
        threshold=0.1,
        for_minutes=5,
        severity="warning",
        summary="The score of {{ $labels.adapter }} fell by {{ $value | humanize }} below the median of seven days",
        description="In the last daily comparison; one with too few points to tell does not count. "
        f"{PREFECT_UI}/runs?state=Completed.",
        runbook="Compare the last record with an older one: `taxi-flows records diff ID ID`. Another month, more "
        "dropped points or other settings are the usual causes; the margin is 0.1 of a score from 0 to 1.",
    ),
)

ALERTS = {"flow-runs": FLOWS, "platform": PLATFORM, "results": RESULTS}
"""By group, as Prometheus and Grafana show them."""
