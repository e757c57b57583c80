"""The sweep: on a schedule, takes up the paid orders that nobody works on. An order is never lost with its workflow."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.common import RetryPolicy

SWEEP: Final = "TopUpSweep"
SCHEDULE_ID: Final = "topup-sweep"
REOPEN_UNSETTLED: Final = "reopen_unsettled_orders"

INTERVAL_SECONDS: Final = 600.0
SHORTEST_INTERVAL_SECONDS: Final = 2.0
"""Each 10 minutes × time scale, never more often than every 2 s (contracts §3)."""
GRACE_SECONDS: Final = 60.0
"""An order claimed less than this ago is still being started by the bridge. Scaled."""
WHOLE_SECONDS: Final = 1800.0
HEARTBEAT_SECONDS: Final = 60.0
"""A batch of describes takes milliseconds; a worker that died in a sweep is noticed within this."""


class Swept(BaseModel):
    """A sweep's result, readable in the Web UI."""

    model_config = ConfigDict(frozen=True)

    unsettled: int
    reopened: int
    examples: tuple[str, ...]


@workflow.defn(name=SWEEP)
class TopUpSweep:
    """One sweep."""

    @workflow.run
    async def run(self) -> Swept:
        """Reopen what has no run; the next sweep comes by the schedule, so this one gives up in time."""
        return await workflow.execute_activity(
            REOPEN_UNSETTLED,
            result_type=Swept,
            start_to_close_timeout=timedelta(seconds=WHOLE_SECONDS),
            heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
            retry_policy=RetryPolicy(maximum_attempts=3),
            summary="unsettled orders without a run",
        )


def interval_seconds(scale: float) -> float:
    """How far apart sweeps are under a time scale."""
    return max(INTERVAL_SECONDS * scale, SHORTEST_INTERVAL_SECONDS)


def schedule(task_queue: str, scale: float) -> Schedule:
    """The schedule that `topup setup` creates under `SCHEDULE_ID`."""
    return Schedule(
        action=ScheduleActionStartWorkflow(SWEEP, id=SCHEDULE_ID, task_queue=task_queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=interval_seconds(scale)))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )
