"""What the notices' step does with the book and the engine: when a notice is due, and what is booked of a refusal."""

import asyncio
import dataclasses
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.notifying import NotifyingActivities
from orders.identities import NoticeResult
from orders.notices import NoticeState
from orders.state import OrderState
from tests.properties.virtual_loop import in_virtual_time
from tests.workflows.conftest import paid_order
from tests.workflows.fakes import FakeNotifier
from workflows import policies
from workflows.steps import NotifyRequest, NotifyResult


@dataclass
class FakeBook:
    """One order's row and its notices."""

    state: OrderState
    order: Any = field(default_factory=paid_order)
    states: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    writes: int = 0

    async def read_with_notices(self, order_id: str) -> Any:
        del order_id
        stored = SimpleNamespace(state=self.state, order=self.order)
        return stored, [NoticeState(RESULT, name, *state) for name, state in self.states.items()]

    async def write_notices(self, order_id: str, result: NoticeResult, states: Any) -> None:
        assert (order_id, result) == (ORDER, RESULT)
        self.states |= states
        self.writes += 1


ORDER = "T20230821183406000001"
RESULT: NoticeResult = "failed"
AT = datetime(2023, 8, 21, 10, 34, 6, tzinfo=UTC)
REFUSED = OrderState(
    order_id=ORDER, claimed_at=AT, posts=1, carrier_outcome="rejected", carrier_code="CODE", carrier_outcome_at=AT
)
REFUNDING = replace(REFUSED, refund_sequence=1, refund_at=AT)


class Step:
    """The step over one book, and what it has told."""

    def __init__(self, state: OrderState, waiting_most: int = 50) -> None:
        self.book: Any = FakeBook(state)
        self.notifier = FakeNotifier()
        self.alerts: list[tuple[str, dict[str, str]]] = []
        self.work = NotifyingActivities(self.notifier, self.book, self.alert, 1.0, waiting_most=waiting_most)

    def alert(self, kind: str, **fields: str) -> None:
        self.alerts.append((kind, fields))

    async def run(
        self, *platforms: str, attempt: int = 1, is_local: bool = False, waited: timedelta = timedelta(0)
    ) -> NotifyResult:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info, attempt=attempt, is_local=is_local, scheduled_time=datetime.now(UTC) - waited
        )
        ask = NotifyRequest(order_id=ORDER, result=RESULT, platforms=platforms)
        return await environment.run(self.work.notify_vehicle, ask)

    async def again(self, *platforms: str, **how: Any) -> ApplicationError:
        """The failure that makes the engine try again."""
        with pytest.raises(ApplicationError) as failure:
            await self.run(*platforms, **how)
        return failure.value


# --- when `failed` is due ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_local", [False, True])
async def test_without_the_refund_intent_failed_is_not_due_and_nothing_is_published(*, is_local: bool) -> None:
    step = Step(REFUSED)

    assert (await step.run("new", "legacy", is_local=is_local)).states == {"new": "not_due", "legacy": "not_due"}
    assert (step.notifier.tries, step.book.writes) == (0, 0)


async def test_failed_goes_out_once_the_refund_intent_is_in_the_book() -> None:
    step = Step(REFUNDING)

    assert (await step.run("new")).states == {"new": "acknowledged"}
    assert step.notifier.results("new") == ["failed"]


async def test_a_platform_that_has_the_notice_gets_it_no_second_time() -> None:
    step = Step(REFUNDING)
    step.book.states = {"legacy": ("acknowledged", "")}

    assert (await step.run("new", "legacy")).states == {"new": "acknowledged", "legacy": "acknowledged"}
    assert (step.notifier.results("new"), step.notifier.results("legacy")) == (["failed"], [])


# --- refusals and failures --------------------------------------------------------------------------------------------


async def test_a_refusal_is_tried_again_at_the_longest_pace_and_booked_and_alerted_once() -> None:
    step = Step(REFUNDING)
    step.notifier.refusing = {"new"}

    failures = [await step.again("new", attempt=attempt) for attempt in range(1, 6)]

    assert {failure.type for failure in failures} == {"NoticeRefused"}
    waits = {failure.next_retry_delay and failure.next_retry_delay.total_seconds() for failure in failures}
    assert waits == {policies.NOTIFY_PLATFORM.longest_retry_seconds}
    assert step.book.states == {"new": ("pending", "new refuses us: check the credentials.")}
    assert [kind for kind, _ in step.alerts] == ["notice_refused"]
    assert step.book.writes == 1

    step.notifier.refusing = set()
    assert (await step.run("new")).states == {"new": "acknowledged"}
    assert step.book.states == {"new": ("acknowledged", "")}


async def test_the_local_try_leaves_a_refusal_to_the_regular_one() -> None:
    step = Step(REFUNDING)
    step.notifier.refusing = {"legacy"}

    assert (await step.run("new", "legacy", is_local=True)).states == {"new": "acknowledged", "legacy": "pending"}
    assert (step.book.states, step.alerts) == ({"new": ("acknowledged", "")}, [])


async def test_what_an_earlier_version_has_booked_as_refused_is_tried_again() -> None:
    step = Step(REFUNDING)
    step.book.states = {"new": ("refused", "an earlier version's sentence")}

    assert (await step.run("new")).states == {"new": "acknowledged"}


async def test_attempts_at_a_platform_that_is_away_write_once_that_the_notice_waits() -> None:
    step = Step(REFUNDING)
    step.notifier.down = {"new"}

    for attempt in range(1, 6):
        assert (await step.again("new", attempt=attempt)).type == "NoticeNotAcknowledged"
    assert (step.book.writes, step.alerts) == (1, [])


async def test_a_notice_that_ends_the_connection_at_each_try_calls_a_person_once_and_is_tried_on() -> None:
    step = Step(REFUNDING)
    step.notifier.down = {"new"}

    for attempt in range(1, 15):
        await step.again("new", attempt=attempt)

    assert [kind for kind, _ in step.alerts] == ["notice_pending"]
    assert (step.book.states["new"][0], step.book.writes) == ("pending", 2)


async def test_a_platform_that_is_away_calls_a_person_for_its_notices_after_an_hour_alone() -> None:
    step = Step(REFUNDING)
    step.notifier.down, step.notifier.away_seconds = {"new"}, 600.0

    await step.again("new", attempt=200, waited=timedelta(minutes=59))
    assert step.alerts == []
    await step.again("new", attempt=201, waited=timedelta(minutes=61))
    await step.again("new", attempt=202, waited=timedelta(minutes=62))

    assert [kind for kind, _ in step.alerts] == ["notice_pending"]


@in_virtual_time
async def test_attempts_beyond_the_most_leave_a_hung_platform_alone_and_another_is_published_to() -> None:
    step = Step(REFUNDING, waiting_most=3)
    step.notifier.hung = {"legacy"}
    holding = [asyncio.create_task(step.run("legacy")) for _ in range(3)]
    await asyncio.sleep(0.6)

    beyond = [await step.again("legacy") for _ in range(20)]
    assert step.notifier.tries == 3
    assert all("3 notices wait for the platform legacy already" in str(failure) for failure in beyond)
    assert all(failure.next_retry_delay is not None for failure in beyond)
    assert (await step.run("new")).states == {"new": "acknowledged"}
    for task in holding:
        task.cancel()
    await asyncio.wait(holding)


async def test_a_platform_that_is_away_is_tried_again_when_it_has_been_away_as_long_again() -> None:
    step = Step(REFUNDING)
    step.notifier.down, step.notifier.away_seconds = {"new"}, 10

    waits: list[float] = []
    for attempt in (1, 1, 7, 7):
        delay = (await step.again("new", attempt=attempt)).next_retry_delay
        assert delay is not None
        waits.append(delay.total_seconds())

    assert 5 <= min(waits) <= max(waits) <= 10
    assert len(set(waits)) > 1  # spread


async def test_a_notice_that_is_not_taken_stands_in_the_book_from_its_first_regular_try_until_it_is() -> None:
    step = Step(REFUNDING)
    step.notifier.down = {"new"}
    await step.run("new", is_local=True)
    assert step.book.states == {}

    await step.again("new")
    assert step.book.states == {"new": ("waiting", "")}
    await step.again("new", attempt=2)
    assert step.book.writes == 1

    step.notifier.down = set()
    await step.run("new", attempt=3)
    assert step.book.states["new"][0] == "acknowledged"


async def test_a_notice_for_a_platform_that_was_retired_ends_and_one_that_is_configured_is_tried_on() -> None:
    step = Step(REFUNDING)
    step.book.states = {"gone": ("given_up", "retired"), "new": ("given_up", "retired by mistake")}

    assert (await step.run("gone")).states == {"gone": "given_up"}
    assert step.notifier.results("gone") == []
    assert (await step.run("new")).states == {"new": "acknowledged"}
