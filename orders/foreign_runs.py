"""Whether the run under an order's ID is the order's own: anybody who may start runs can give one that ID.

An order behind another's run can't begin: it calls a person, and does not count against the bridge's admission limit.
Nothing else follows from it: `orders.next_step` knows nothing of it. Rules are pure, as in `orders.carrier_rules`.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from orders.identities import GOODWILL_WORKFLOW_TYPE, WORKFLOW_TYPE, workflow_id
from orders.state import OrderState

BEHIND: Final = "A run that is not its own stands under its ID: once that is terminated, the sweep starts its own."

CALLS: Final = {"calls_for": "foreign_run"}
"""What the audit trail says of an order for which a person was called."""


class DescribedRun(Protocol):
    """What Temporal says of a run (`temporalio.client.WorkflowExecution`)."""

    @property
    def workflow_type(self) -> str:
        """Its type."""
        ...

    @property
    def task_queue(self) -> str:
        """The queue of the workers that it waits for."""
        ...


def is_foreign(run: DescribedRun, task_queue: str) -> bool:
    """Whether it is of another type or on another queue: no worker of ours will ever bring the order on in it."""
    return run.workflow_type not in (WORKFLOW_TYPE, GOODWILL_WORKFLOW_TYPE) or run.task_queue != task_queue


def note_foreign_run(state: OrderState, seen_at: datetime) -> tuple[OrderState, bool]:
    """Call a person for an order behind a foreign run that was seen at `seen_at`.

    False: it has an end, a person is called for something else, or it was taken up again since that look.
    """
    taken_up_since = state.reopened_at is not None and state.reopened_at >= seen_at
    if state.outcome is not None or state.attention or taken_up_since:
        return state, False
    return replace(state, attention="foreign_run", reason=BEHIND), True


def note_own_run(state: OrderState) -> tuple[OrderState, bool]:
    """Take that back: its own run is there, or is about to be started. False: nobody was called for that."""
    if state.attention != "foreign_run":
        return state, False
    return replace(state, attention="", reason=""), True


def foreign_run_sentence(order_id: str, *, so: str = "Its run can't start") -> str:
    """What a person does. The run's type and queue are somebody else's words, so they aren't in it.

    Args:
        order_id: under whose ID it stands.
        so: what follows from it.
    """
    name = workflow_id(order_id)
    return (
        f"{so}: under {name} there is a run of another type or on another task queue than topup's. "
        "If TOPUP_TASK_QUEUE is the same everywhere, see who started it "
        f"(`temporal workflow describe --workflow-id {name}`), and terminate it if it is open; "
        "the sweep then starts the order's own within 10 min."
    )
