"""Reconciliation on a schedule: the day before, and again each day that is open or not judged whole (contracts §10)."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

RECONCILIATION: Final = "TopUpReconciliation"
SCHEDULE_ID: Final = "topup-reconciliation"
FIND_DAYS: Final = "find_days_to_reconcile"
RECONCILE_DAY: Final = "reconcile_day"

HOUR: Final = 11
TIME_ZONE: Final = "Asia/Shanghai"
"""Both providers have the bills of the day before from 10:00 on."""
FIND_SECONDS: Final = 60.0
"""Two questions to the book; a busy database is asked again."""
DAY_SECONDS: Final = 3600.0
"""A day of a million lines takes minutes; asking how thousands of refunds ended takes longer."""
HEARTBEAT_SECONDS: Final = 120.0
"""Some thousand lines or one page take seconds; a download takes up to 5 minutes and beats beside."""
RETRY_SECONDS: Final = 60.0
ATTEMPTS: Final = 10
"""Ten minutes of a database that is away; the next morning goes on where this one ended."""


class DayReconciled(BaseModel):
    """What became of one day, readable in the Web UI."""

    model_config = ConfigDict(frozen=True)

    day: str
    open_differences: int
    waiting: int
    not_whole: tuple[str, ...]
    put: int


@workflow.defn(name=RECONCILIATION)
class TopUpReconciliation:
    """One morning's."""

    @workflow.run
    async def run(self) -> list[DayReconciled]:
        """Each day that is due, one after the other; one that fails stops none of the others."""
        retry = RetryPolicy(initial_interval=timedelta(seconds=RETRY_SECONDS), maximum_attempts=ATTEMPTS)
        days = await workflow.execute_activity(
            FIND_DAYS,
            result_type=list[str],
            start_to_close_timeout=timedelta(seconds=FIND_SECONDS),
            retry_policy=retry,
            summary="days that are open or not judged whole",
        )
        done: list[DayReconciled] = []
        failed: list[ActivityError] = []
        for day in days:
            try:
                done.append(
                    await workflow.execute_activity(
                        RECONCILE_DAY,
                        day,
                        result_type=DayReconciled,
                        start_to_close_timeout=timedelta(seconds=DAY_SECONDS),
                        heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
                        retry_policy=retry,
                        summary=day,
                    )
                )
            except ActivityError as failure:
                failed.append(failure)
        if failed:
            raise failed[0]
        return done


def schedule(task_queue: str) -> Schedule:
    """The schedule that `topup setup` creates under `SCHEDULE_ID`; never scaled: it goes by the providers' day."""
    return Schedule(
        action=ScheduleActionStartWorkflow(RECONCILIATION, id=SCHEDULE_ID, task_queue=task_queue),
        spec=ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(HOUR)])], time_zone_name=TIME_ZONE),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=12)),
    )
