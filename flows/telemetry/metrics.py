"""Every metric, once: name, type, unit, labels and help. Documents, dashboards and rules are checked against it.

The exporter serves those of source "exporter", a run pushes those of source "run" to the Pushgateway, the daily backup
those of source "backup", the operator those of its own. What a run pushes also carries `flow` and `adapter`, which make
its group there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, InvalidURL
from typing import Literal
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, push_to_gateway
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

GROUPING_LABELS = ("flow", "adapter")
"""Labels of every pushed metric, next to `job`."""

PUSH_JOB = "taxi_flows"
PUSH_TIMEOUT_SECONDS = 5.0
"""For each step of a push: connecting, sending, waiting for the answer."""

DURATION_BUCKETS_SECONDS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600)
"""Upper bounds, up to the longest run that a work pool allows; what is longer counts as +Inf."""

LAG_BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True)
class MetricDefinition:
    """One line of the table. name: as in PromQL, but a histogram's without _bucket, _sum and _count."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[str, ...]
    help: str
    source: Literal["exporter", "run", "backup", "operator"] = "exporter"


Values = Mapping[tuple[str, ...], float]
"""A metric's series: the values of its labels, in their order -> its value."""

_DEPLOYMENT = ("flow_name", "deployment", "work_pool")

FLOW_RUNS = MetricDefinition(
    "prefect_flow_runs_total", "counter", "attempts", (*_DEPLOYMENT, "status"),
    "Attempts of flow runs that ended, by status: success, failed, crashed or cancelled.",
)  # fmt: skip
FLOW_RUN_DURATION = MetricDefinition(
    "prefect_flow_run_duration_seconds", "histogram", "seconds", _DEPLOYMENT,
    "Time of attempts that began to run, from Running to their final state.",
)  # fmt: skip
FLOW_RUN_CORRECTIONS = MetricDefinition(
    "prefect_flow_run_corrections_total", "counter", "attempts", ("from", "to"),
    "Final states that were replaced by another one later; prefect_flow_runs_total keeps what it counted.",
)  # fmt: skip
ACTIVE_FLOWS = MetricDefinition(
    "prefect_active_flows", "gauge", "runs", ("flow_name",), "Flow runs that are Running now."
)
ACTIVE_FLOW_MAX_AGE = MetricDefinition(
    "prefect_active_flow_max_age_seconds", "gauge", "seconds", ("flow_name",),
    "How long the longest of the flow's running runs has been running; 0 where none runs.",
)  # fmt: skip
LATE_FLOW_RUNS = MetricDefinition(
    "prefect_late_flow_runs", "gauge", "runs", ("work_pool",),
    "Flow runs that are due and have not started though a slot is free.",
)  # fmt: skip
QUEUED_FLOW_RUNS = MetricDefinition(
    "prefect_queued_flow_runs", "gauge", "runs", ("work_pool",),
    "Flow runs that are due and wait for a slot of their work pool or deployment.",
)  # fmt: skip
DEPLOYMENT_LAST_SUCCESS = MetricDefinition(
    "prefect_deployment_last_success_timestamp_seconds", "gauge", "seconds", ("flow_name", "deployment"),
    "When a run of the deployment last succeeded, Unix time; absent where none ever has.",
)  # fmt: skip
DEPLOYMENT_CREATED = MetricDefinition(
    "prefect_deployment_created_timestamp_seconds", "gauge", "seconds", ("flow_name", "deployment"),
    "When the deployment was created, Unix time.",
)  # fmt: skip
POD_FAILURES = MetricDefinition(
    "prefect_pod_failures_total", "counter", "pods", ("reason",),
    "Pods of flow runs that failed or can't start, once per pod and reason: OOMKilled, Evicted, ImagePullError, "
    "CrashLoopBackOff, Unschedulable or Other.",
)  # fmt: skip
WORK_POOL_LAST_POLL_AGE = MetricDefinition(
    "prefect_work_pool_last_poll_age_seconds", "gauge", "seconds", ("work_pool",),
    "Time since a worker last asked for runs of the pool; since the pool's creation where none ever has.",
)  # fmt: skip

EXPORTER_EVENTS = MetricDefinition(
    "prefect_exporter_events_total", "counter", "events", ("source",),
    "Events that the exporter took in, from the stream or read from the API, those it knew included.",
)  # fmt: skip
EXPORTER_BAD_EVENTS = MetricDefinition(
    "prefect_exporter_bad_events_total", "counter", "events", ("reason",),
    "Events that were passed over, by reason: malformed, or unconfirmed, where Prefect's API knows no such end of a "
    "run.",
)  # fmt: skip
EXPORTER_LAG = MetricDefinition(
    "prefect_exporter_event_lag_seconds", "histogram", "seconds", (),
    "Time from a flow run's event to its arrival by the stream.",
)  # fmt: skip
EXPORTER_RECONNECTS = MetricDefinition(
    "prefect_exporter_reconnects_total", "counter", "connections", (),
    "Times that the stream of events broke off or could not be opened.",
)  # fmt: skip
EXPORTER_CONNECTED = MetricDefinition(
    "prefect_exporter_connected", "gauge", "boolean", (), "1 while the stream of events is connected, else 0."
)
EXPORTER_API_ERRORS = MetricDefinition(
    "prefect_exporter_api_errors_total", "counter", "requests", (), "Rounds of requests to Prefect's API that failed."
)
EXPORTER_LAST_POLL = MetricDefinition(
    "prefect_exporter_last_poll_timestamp_seconds", "gauge", "seconds", (),
    "When the exporter last read its gauges from Prefect's API, Unix time; 0 where it has not yet.",
)  # fmt: skip
EXPORTER_LAST_READ = MetricDefinition(
    "prefect_exporter_last_read_timestamp_seconds", "gauge", "seconds", (),
    "When the exporter last read all that the stream of events may have missed, Unix time; 0 where it has not yet.",
)  # fmt: skip
EXPORTER_SAVE_FAILURES = MetricDefinition(
    "prefect_exporter_state_save_failures_total", "counter", "writes", (),
    "Times that the counts could not be written to disk; they are served all the same.",
)  # fmt: skip
EXPORTER_COLLAPSED = MetricDefinition(
    "prefect_exporter_collapsed_runs_total", "counter", "attempts", (),
    "Attempts counted under flow, deployment and pool `other`, as there are too many different ones.",
)  # fmt: skip

_EXPERIMENT = "taxi_experiment_"


def _of_run(name: str, unit: str, help_text: str, *labels: str) -> MetricDefinition:
    return MetricDefinition(f"{_EXPERIMENT}{name}", "gauge", unit, labels, help_text, "run")


POINTS = _of_run("points", "points", "Used points of the last run.")
UNIQUE_POINTS = _of_run("unique_points", "points", "Distinct used points of the last run.")
DROPPED_POINTS = _of_run("dropped_points", "points", "Points that the last run left out, by reason.", "reason")
CLUSTERS = _of_run("clusters", "clusters", "Clusters that were found; of a sweep or comparison, by its best cell.")
NOISE_RATIO = _of_run("noise_ratio", "ratio", "Share of used points that are noise.")
LARGEST_CLUSTER_RATIO = _of_run("largest_cluster_ratio", "ratio", "Share of used points in the largest cluster.")
SILHOUETTE = _of_run("silhouette", "score", "Silhouette, from -1 to 1.")
OVERALL_SCORE = _of_run("overall_score", "score", "Overall score, from 0 to 1.")
EPS = _of_run("eps_meters", "meters", "Radius of a neighbourhood; of a sweep, the best one.")
MIN_SAMPLES = _of_run("min_samples", "trips", "Trips that make a core point; of a sweep, the best number.")
STEP_DURATION = _of_run(
    "step_duration_seconds", "seconds",
    "Time of each step; cluster is the adapter's fit alone, over all its cells.", "step",
)  # fmt: skip
PEAK_MEMORY = _of_run("peak_memory_bytes", "bytes", "Memory that the adapter's fit took at its peak.")
SPEED_UP = _of_run(
    "speed_up_ratio", "ratio",
    "Fit time of the comparison's first adapter over this one's; absent where there are too few points to tell.",
)  # fmt: skip
LAST_SUCCESS = _of_run("last_success_timestamp_seconds", "seconds", "When the last run succeeded, Unix time.")

POSTGRES_DATABASE_SIZE = MetricDefinition(
    "postgres_database_size_bytes", "gauge", "bytes", (), "Size of Prefect's database at its last backup.", "backup"
)
POSTGRES_VOLUME_SIZE = MetricDefinition(
    "postgres_volume_size_bytes", "gauge", "bytes", (), "Size of the volume that the database lies on.", "backup"
)


def _of_operator(
    name: str, kind: Literal["counter", "gauge"], unit: str, help_text: str, *labels: str
) -> MetricDefinition:
    return MetricDefinition(f"taxi_operator_{name}", kind, unit, labels, help_text, "operator")


RECONCILE = _of_operator(
    "reconcile_total", "counter", "passes", "Passes over all that is declared, by result: success or failed.", "result"
)
RECONCILE_DURATION = _of_operator(
    "reconcile_duration_seconds", "gauge", "seconds", "Time that the last pass took, its waiting for Prefect included."
)
DRIFT_HEALED = _of_operator(
    "drift_healed_total", "counter", "objects", "Objects that were brought back to what is declared, by kind.", "kind"
)
RECONCILE_LAST_SUCCESS = _of_operator(
    "last_success_timestamp_seconds", "gauge", "seconds", "When a pass last succeeded, Unix time; 0 where none has yet."
)
CUSTOM_RESOURCES = _of_operator(
    "objects", "gauge", "objects", "Experiments and ParameterSweeps in the cluster, by kind and phase.", "kind", "phase"
)
BACKUP_LAST_SUCCESS = _of_operator(
    "backup_last_success_timestamp_seconds", "gauge", "seconds",
    "When the daily backup of Prefect's database last succeeded, Unix time; when it was installed where none has; "
    "absent where it is suspended.",
)  # fmt: skip
KUBERNETES_REQUESTS = _of_operator(
    "kubernetes_requests_total",
    "counter",
    "requests",
    "Requests to the API server of Kubernetes; watches are not among them.",
)

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, MetricDefinition))


def family(definition: MetricDefinition, values: Values) -> Family:
    """The series of a counter or gauge as prometheus_client takes them."""
    kind = CounterMetricFamily if definition.type == "counter" else GaugeMetricFamily
    made = kind(definition.name, definition.help, labels=definition.labels)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


class Families(Collector):
    """What a function gives when it is asked."""

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        """As prometheus_client asks."""
        yield from self._families()


def push(url: str, flow: str, adapter: str, metrics: Mapping[MetricDefinition, Values]) -> None:
    """Replace the group of this flow and adapter in the Pushgateway.

    Raises:
        OSError: it can't be reached, refused the metrics, or its answer is no HTTP.
        ValueError: the address is none of a Pushgateway.
    """
    _check_address(url)
    registry = CollectorRegistry()
    registry.register(Families(lambda: [family(definition, values) for definition, values in metrics.items()]))
    key = dict(zip(GROUPING_LABELS, (flow, adapter), strict=True))
    try:
        push_to_gateway(url, PUSH_JOB, registry, grouping_key=key, timeout=PUSH_TIMEOUT_SECONDS)
    except InvalidURL as error:
        raise ValueError(str(error)) from error
    except HTTPException as error:
        raise OSError(f"the answer is no HTTP ({error!r})") from error


def _check_address(url: str) -> None:
    """HOST:PORT without a scheme is an address too.

    Raises:
        ValueError: it names another scheme than HTTP's, no host, or a port that there is not.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not an address of the form http://HOST:PORT")
