"""What an order costs at Temporal: events of its history, and Actions as Temporal Cloud bills them.

By docs.temporal.io/cloud/actions: a start is an Action, each upsert of search attributes, each attempt of a regular
activity, each timer, signal and update; local activities are one for each workflow task that reports some.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

BILLED: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    }
)


@dataclass(frozen=True, slots=True)
class HistoryCost:
    """Of one order, or the mean of some."""

    events: float = 0.0
    actions: float = 0.0
    workflow_tasks: float = 0.0
    eager: float = 0.0
    """Whether the first task came with the answer to the start, past the task queue."""


def cost_of(events: Iterable[HistoryEvent]) -> HistoryCost:
    """Count one history."""
    whole = actions = tasks = eager = 0
    reported = False
    for event in events:
        whole += 1
        actions += event.event_type in BILLED
        eager += event.workflow_execution_started_event_attributes.eager_execution_accepted
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            tasks, reported = tasks + 1, False
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED and not reported:
            actions, reported = actions + 1, True
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            actions += event.activity_task_started_event_attributes.attempt
    return HistoryCost(whole, actions, tasks, eager)


async def mean_cost(client: Client, workflow_ids: Sequence[str]) -> HistoryCost:
    """The mean of these runs."""
    costs = [cost_of((await client.get_workflow_handle(one).fetch_history()).events) for one in workflow_ids]
    count = max(1, len(costs))
    return HistoryCost(
        sum(cost.events for cost in costs) / count,
        sum(cost.actions for cost in costs) / count,
        sum(cost.workflow_tasks for cost in costs) / count,
        sum(cost.eager for cost in costs) / count,
    )
