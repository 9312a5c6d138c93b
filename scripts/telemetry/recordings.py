"""What dashboards and alerts ask for more than once."""

from __future__ import annotations

from flows.telemetry.metrics import FLOW_RUN_DURATION, FLOW_RUNS
from scripts.telemetry.model import Recording

_DEPLOYMENT = "flow_name, deployment, work_pool"


def _quantile(quantile: float) -> Recording:
    buckets = f"sum by ({_DEPLOYMENT}, le) (increase({FLOW_RUN_DURATION.name}_bucket[1h]))"
    return Recording(
        f"flow_name_deployment:{FLOW_RUN_DURATION.name}:p{quantile * 100:g}_1h",
        f"histogram_quantile({quantile}, {buckets})",
    )


FAILURE_RATIO = Recording(
    f"flow_name_deployment:{FLOW_RUNS.name.removesuffix('_total')}:failure_ratio1h",
    f'sum by ({_DEPLOYMENT}) (increase({FLOW_RUNS.name}{{status=~"failed|crashed"}}[1h])) / '
    f'sum by ({_DEPLOYMENT}) (increase({FLOW_RUNS.name}{{status!="cancelled"}}[1h]) > 0)',
)
DURATION_P50 = _quantile(0.5)
DURATION_P95 = _quantile(0.95)

RECORDINGS = (FAILURE_RATIO, DURATION_P50, DURATION_P95)
