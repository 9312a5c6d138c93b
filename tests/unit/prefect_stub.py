"""A stub of Prefect's API as the exporter asks it: events, and the flow runs that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from prefect.client.schemas.objects import Flow, FlowRun, State, StateType
from prefect.events import Event
from prefect.events.filters import EventFilter

FLOW = UUID("0198c0de-0000-4000-8000-0000000000aa")
FLOW_NAME = "daily_adapter_comparison_flow"


@dataclass
class Page:
    """A page of events, the only one."""

    events: list[Event]
    next_page: str | None = None


@dataclass
class Stub:
    """What Prefect knows. spoils: raises what an answer about a span of time makes Prefect's client raise."""

    events: list[Event] = field(default_factory=list)
    runs: list[FlowRun] = field(default_factory=list)
    states: dict[UUID, list[State[None]]] = field(default_factory=dict)
    spoils: Callable[[datetime, datetime], None] = lambda _since, _until: None
    asked: int = 0

    async def read_events(self, wanted: EventFilter, limit: int) -> Page:
        """All events, whatever span is asked for."""
        assert limit > 0
        assert wanted.event is not None
        if "prefect.flow-run." not in (wanted.event.prefix or []):
            return Page([])
        assert wanted.occurred is not None
        self.spoils(wanted.occurred.since, wanted.occurred.until)
        return Page(self.events)

    async def read_flow_runs(self, **filters: object) -> list[FlowRun]:
        """Those of the ids that are asked for; no others."""
        self.asked += 1
        wanted = getattr(filters.get("flow_run_filter"), "id", None)
        return [run for run in self.runs if wanted is not None and run.id in wanted.any_]

    async def read_flow_run_states(self, run: UUID) -> list[State[None]]:
        """All states that a run has had."""
        self.asked += 1
        return self.states.get(run, [])

    async def read_flows(self, **_: object) -> list[Flow]:
        """The only one."""
        return [Flow(id=FLOW, name=FLOW_NAME, labels=None)]

    async def read_deployments(self, **_: object) -> list[object]:
        """None."""
        return []


def a_run(state: StateType = StateType.COMPLETED, run_count: int = 1) -> FlowRun:
    """A flow run that has a state since now."""
    return FlowRun(id=uuid4(), flow_id=FLOW, state=State(type=state, id=uuid4()), run_count=run_count, name="a-run")


def an_event_of(run: FlowRun, **changes: object) -> Event:
    """What Prefect sends as the run gets its state."""
    assert run.state is not None
    return an_event(str(run.id), run.state.type.value, id=run.state.id, occurred=run.state.timestamp, **changes)


def an_event(run_id: str, state: str = "COMPLETED", **changes: object) -> Event:
    """An event of a flow run; changes: fields of it, `resource` as labels on top of the usual ones."""
    resource = {
        "prefect.resource.id": f"prefect.flow-run.{run_id}",
        "prefect.run-count": "1",
        "prefect.state-type": state,
        **(changes.pop("resource", {})),  # type: ignore[dict-item]
    }
    fields: dict[str, object] = {
        "event": "prefect.flow-run.Completed",
        "occurred": datetime.now(UTC),
        "id": uuid4(),
        "resource": resource,
        "related": [
            {"prefect.resource.id": "prefect.flow.x", "prefect.resource.role": "flow", "prefect.resource.name": "told"}
        ],
        **changes,
    }
    return Event.model_validate(fields)
