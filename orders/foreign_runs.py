"""Whether the run that stands under an order's ID is that order's: whoever may start runs chooses their IDs."""

from typing import Protocol

from orders.identities import GOODWILL_WORKFLOW_TYPE, WORKFLOW_TYPE, workflow_id


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


def foreign_run_sentence(order_id: str, *, so: str = "Its run can't start") -> str:
    """What a person does. Type and queue of the run are whoever's words, so they aren't in it.

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
