"""The morning's workflow: every day that is due, one after the other; one that fails stops none of the others."""

import secrets
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.reconciling import ReconcilingActivities
from reconciliation.run import Report
from workflows import reconciliation
from workflows.reconciliation import FIND_DAYS, RECONCILE_DAY, DayReconciled, TopUpReconciliation

DAYS = ["2026-11-25", "2026-11-26", "2026-11-27"]


def test_the_schedule_is_each_day_at_eleven_in_china_and_never_two_at_once():
    made = reconciliation.schedule("queue")

    [calendar] = made.spec.calendars
    assert ([one.start for one in calendar.hour], made.spec.time_zone_name) == ([11], "Asia/Shanghai")
    assert made.policy.overlap.name == "SKIP"


@pytest.mark.real
async def test_a_day_that_fails_stops_none_of_the_others_and_the_morning_says_so(temporal_client: Client):
    seen: list[str] = []

    @activity.defn(name=FIND_DAYS)
    async def find() -> list[str]:
        return DAYS

    @activity.defn(name=RECONCILE_DAY)
    async def reconcile(day: str) -> DayReconciled:
        seen.append(day)
        if day == DAYS[1] and broken:
            raise ApplicationError("The order book is away.", non_retryable=True)
        return DayReconciled(day=day, open_differences=0, waiting=1, not_whole=("alipay",), put=0)

    queue = f"reconcile-{secrets.token_hex(4)}"
    async with Worker(temporal_client, task_queue=queue, workflows=[TopUpReconciliation], activities=[find, reconcile]):
        broken = True
        with pytest.raises(WorkflowFailureError):
            await temporal_client.execute_workflow(
                TopUpReconciliation.run, id=f"{queue}-1", task_queue=queue, run_timeout=timedelta(minutes=2)
            )
        assert seen == DAYS
        broken = False
        done = await temporal_client.execute_workflow(
            TopUpReconciliation.run, id=f"{queue}-2", task_queue=queue, run_timeout=timedelta(minutes=2)
        )
    assert [one.day for one in done] == DAYS


class Books:
    """Which days are judged."""

    def __init__(self) -> None:
        self.asked_until = ""

    async def days_due(self, yesterday: str) -> list[str]:
        self.asked_until = yesterday
        return DAYS

    async def is_judged(self, day: str) -> bool:
        return day == DAYS[0]


async def test_the_activities_ask_until_yesterday_in_china_and_look_again_only_at_what_is_open():
    ran: list[tuple[str, bool]] = []

    class Run:
        async def run(self, day: str, provider: str | None = None, *, only_open: bool = False) -> Report:
            ran.append((day, only_open))
            return Report(day, not_whole={"alipay": "not there yet"}, put=2)

    @asynccontextmanager
    async def opening():
        yield Run()

    class Clock:
        def now(self) -> datetime:
            return datetime(2026, 11, 27, 16, 30, tzinfo=UTC)  # half past midnight of the 28th in China

    books = Books()
    activities = ReconcilingActivities(opening, books, Clock())
    environment = ActivityEnvironment()

    assert await environment.run(activities.find_days_to_reconcile) == DAYS
    assert books.asked_until == "2026-11-27"
    for day in DAYS[:2]:
        done = await environment.run(activities.reconcile_day, day)
        assert (done.day, done.not_whole, done.put) == (day, ("alipay",), 2)
    assert ran == [(DAYS[0], True), (DAYS[1], False)]
