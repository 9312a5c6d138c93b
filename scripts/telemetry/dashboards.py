"""The two dashboards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort

from flows.telemetry import metrics
from flows.telemetry.metrics import MetricDefinition
from scripts.telemetry.panels import SOURCE, Panel, Query, bars, lines, number, rows
from scripts.telemetry.recordings import DURATION_P50, DURATION_P95, FAILURE_RATIO

_PICKED = '{flow_name=~"$flow_name", deployment=~"$deployment", work_pool=~"$work_pool"}'
_RUNS = f"{metrics.FLOW_RUNS.name}{_PICKED}"
_SUCCEEDED = _RUNS.replace("{", '{status="success", ')
_NOT_CANCELLED = _RUNS.replace("{", '{status!="cancelled", ')
_OF_POOL = '{work_pool=~"$work_pool"}'
_BY_DEPLOYMENT = "{{flow_name}}/{{deployment}}"
_INTERVAL = "$__rate_interval"


def flow_monitoring() -> str:
    """Prefect Flow Monitoring: what runs, how long, how often it fails."""
    labels = ("flow_name", "deployment", "work_pool")
    variables = [_variable(label, f"label_values({metrics.FLOW_RUNS.name}, {label})") for label in labels]
    parts = {"Now": _now(), "Flow runs": _flow_runs(), "Starting": _starting(), "Telemetry": _telemetry()}
    return _dashboard("prefect-flow-monitoring", "Prefect Flow Monitoring", variables, parts)


def _now() -> list[Panel]:
    rate = f"sum(increase({_SUCCEEDED}[$__range])) / sum(increase({_NOT_CANCELLED}[$__range]))"
    return [
        number("Runs", "Attempts that ended in the shown time.", "short", f"sum(increase({_RUNS}[$__range]))"),
        number("Success rate", "Of the shown time's attempts that were not cancelled.", "percentunit", rate),
        number("Active flows", "Flow runs that are Running.", "short", f"sum({metrics.ACTIVE_FLOWS.name})"),
        number("Late runs", "Due, with a free slot, not started.", "short", f"sum({metrics.LATE_FLOW_RUNS.name})"),
    ]


def _flow_runs() -> list[Panel]:
    by_status = f"sum by (status) (increase({_RUNS}[{_INTERVAL}]))"
    by_deployment = f"sum by (flow_name, deployment) (increase({_RUNS}[{_INTERVAL}]))"
    failed = f"max by (flow_name, deployment) ({FAILURE_RATIO.name}{_PICKED})"
    active = f'sum by (flow_name) ({metrics.ACTIVE_FLOWS.name}{{flow_name=~"$flow_name"}})'
    p50, p95 = (f"max by (flow_name, deployment) ({one.name}{_PICKED})" for one in (DURATION_P50, DURATION_P95))
    return [
        bars("Flow runs over time", "Attempts that ended, by status.", "short", Query(by_status, "{{status}}")),
        bars("Flow runs by deployment", "Attempts that ended.", "short", Query(by_deployment, _BY_DEPLOYMENT)),
        lines("Flow run duration, p50", "Half of an hour's attempts took less.", "s", Query(p50, _BY_DEPLOYMENT)),
        lines("Flow run duration, p95", "19 of 20 of an hour's attempts took less.", "s", Query(p95, _BY_DEPLOYMENT)),
        lines(
            "Success rate by deployment",
            "Of an hour's attempts.",
            "percentunit",
            Query(f"1 - {failed}", _BY_DEPLOYMENT),
        ),
        lines("Active flows by flow", "Flow runs that are Running.", "short", Query(active, "{{flow_name}}")),
    ]


def _starting() -> list[Panel]:
    late = f"sum by (work_pool) ({metrics.LATE_FLOW_RUNS.name}{_OF_POOL})"
    queued = f"sum by (work_pool) ({metrics.QUEUED_FLOW_RUNS.name}{_OF_POOL})"
    pods = f"sum by (reason) (increase({metrics.POD_FAILURES.name}[{_INTERVAL}]))"
    since = f"time() - max by (flow_name, deployment) ({metrics.DEPLOYMENT_LAST_SUCCESS.name})"
    polled = f"max by (work_pool) ({metrics.WORK_POOL_LAST_POLL_AGE.name}{_OF_POOL})"
    waiting = (Query(late, "{{work_pool}} late"), Query(queued, "{{work_pool}} queued"))
    return [
        lines("Waiting runs by work pool", "Late: a slot is free. Queued: waiting for one.", "short", *waiting),
        bars("Failed pods by reason", "Pods that failed or could not start.", "short", Query(pods, "{{reason}}")),
        rows("Time since the last success", "By deployment; absent where none has succeeded.", "s", since),
        lines(
            "Age of the last poll", "Since a worker asked for runs of the pool.", "s", Query(polled, "{{work_pool}}")
        ),
    ]


def _telemetry() -> list[Panel]:
    lag = f"histogram_quantile(0.95, sum by (le) (increase({metrics.EXPORTER_LAG.name}_bucket[1h])))"
    return [
        lines("Lag of the exporter, p95", "From a flow run's event to its arrival.", "s", Query(lag, "p95")),
        lines("Targets", "1 where Prometheus gets an answer.", "short", Query("min by (job) (up)", "{{job}}")),
    ]


def experiment_monitoring() -> str:
    """Experiment Monitoring: what the last runs of each flow and adapter found, and at what cost."""
    labels = metrics.GROUPING_LABELS
    variables = [_variable(label, f"label_values({metrics.POINTS.name}, {label})") for label in labels]
    parts = {"Results": _results(), "Cost": _cost(), "Data": _data()}
    return _dashboard("experiment-monitoring", "Experiment Monitoring", variables, parts)


def _last(metric: MetricDefinition, which: str = "", name: str = "") -> Query:
    """The metric of the last runs of each flow and adapter."""
    selector = f'{metric.name}{{flow=~"$flow", adapter=~"$adapter"{which}}}'
    return Query(selector, f"{name}{{{{flow}}}} {{{{adapter}}}}")


def _results() -> list[Panel]:
    shares = _last(metrics.NOISE_RATIO, name="noise: "), _last(metrics.LARGEST_CLUSTER_RATIO, name="largest: ")
    sweeps = ', flow=~".*sweep.*"'
    best_eps = f"max by (flow, adapter) ({_last(metrics.EPS, sweeps).expr})"
    best_min_samples = f"max by (flow, adapter) ({_last(metrics.MIN_SAMPLES, sweeps).expr})"
    return [
        lines("Overall score", "From 0 to 1; of a sweep, its best setting.", "short", _last(metrics.OVERALL_SCORE)),
        lines("Clusters", "Hot spots that were found.", "short", _last(metrics.CLUSTERS)),
        lines("Noise and largest cluster", "Share of the used points.", "percentunit", *shares),
        lines("Silhouette", "From -1 to 1.", "short", _last(metrics.SILHOUETTE)),
        rows("Sweeps: best eps", "Radius of the best setting.", "lengthm", best_eps),
        rows("Sweeps: best min_samples", "Trips of the best setting.", "short", best_min_samples),
    ]


def _cost() -> list[Panel]:
    fit = _last(metrics.STEP_DURATION, ', step="cluster"')
    steps = f"sum by (step) ({_last(metrics.STEP_DURATION).expr})"
    return [
        lines("Fit time, sequential against parallel", "The adapter's fit alone.", "s", fit),
        lines(
            "Speed-up", "Fit time of a comparison's first adapter over this one's.", "short", _last(metrics.SPEED_UP)
        ),
        lines("Peak memory of the fit", "Sequential against parallel.", "bytes", _last(metrics.PEAK_MEMORY)),
        lines("Time of each step", "Of the last runs together.", "s", Query(steps, "{{step}}")),
    ]


def _data() -> list[Panel]:
    dropped = f"max by (flow, reason) ({_last(metrics.DROPPED_POINTS).expr})"
    since = f"time() - max by (flow, adapter) ({_last(metrics.LAST_SUCCESS).expr})"
    return [
        lines("Used points", "Of the last runs.", "short", _last(metrics.POINTS)),
        lines("Dropped points by reason", "Of the last runs.", "short", Query(dropped, "{{flow}} {{reason}}")),
        rows("Time since the last success", "By flow and adapter.", "s", since),
    ]


def _variable(label: str, query: str) -> QueryVariable:
    variable = QueryVariable(label).label(label.replace("_", " ")).query(query).datasource(SOURCE)
    variable = variable.multi(True).include_all(True).all_value(".*")
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def _dashboard(uid: str, title: str, variables: Sequence[QueryVariable], parts: Mapping[str, Sequence[Panel]]) -> str:
    dashboard = (
        Dashboard(title).uid(uid).tags(["taxi-flows"]).time("now-24h", "now").refresh("1m").timezone("utc").readonly()
    )
    for variable in variables:
        dashboard = dashboard.with_variable(variable)
    ids = count(1)
    for name, panels in parts.items():
        dashboard = dashboard.with_row(Row(name).id(next(ids)))
        for panel in panels:
            dashboard = dashboard.with_panel(panel.id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard.build()) + "\n"


DASHBOARDS: Mapping[str, Callable[[], str]] = {
    "prefect-flow-monitoring": flow_monitoring,
    "experiment-monitoring": experiment_monitoring,
}
"""By the name of the written file."""
