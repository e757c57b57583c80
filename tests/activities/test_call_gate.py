"""What is held, or called too often, is not called: nothing leaves, nothing is written, and the order comes again."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.call_gate import SLOT_LIVES_SECONDS, CallGate, Pace
from orders import operator_rules
from orders.errors import Unavailable
from orders.holds import Hold
from runtime.clock import SystemClock
from tests.activities.conftest import Steps
from tests.properties.virtual_loop import in_virtual_time
from tests.workflows.fakes import AWAY, UNANSWERED, Post
from workflows.policies import HELD_LONGEST_SECONDS, SLOT_SECONDS

RARE = 0.001
LI = {"operator": "li", "note": "ticket 4711"}


class Slots:
    """The row of `call_slots`, on the event loop's clock."""

    def __init__(self) -> None:
        self.next_at = 0.0
        self.asked = 0

    async def take(self, part: str, count: int, *, per_second: float, at_most_seconds: float) -> tuple[int, float]:
        del part
        self.asked += 1
        now = asyncio.get_running_loop().time()
        begins = max(0.0, self.next_at - now)
        if begins > at_most_seconds:
            return 0, begins
        self.next_at = now + begins + count / per_second
        return count, begins


@pytest.fixture
def gated(steps: Steps) -> Steps:
    """With a gate that looks at the book's holds each time."""
    gate(steps)
    return steps


def gate(steps: Steps, **per_second: float) -> None:
    made = CallGate(steps.book.holds, Slots(), steps.clock, per_second, scale=1.0)
    steps.desk = dataclasses.replace(steps.desk, gate=made)
    steps.rewire()


async def held(steps: Steps, part: Any = "carrier") -> None:
    await steps.book.holds.hold(part, **LI, until=None)
    gate(steps)  # one that knows it


async def released(steps: Steps, part: Any = "carrier") -> None:
    await steps.book.holds.release(part, **LI)
    gate(steps)


async def turned_away(steps: Steps, step: Any) -> ApplicationError:
    """The failure of one attempt, local and regular, which have left row, trail and world as they were."""
    before = await steps.state(), await steps.book.events(steps.order.order_id), steps.sent
    failures: list[ApplicationError] = []
    for is_local in (True, False):
        with pytest.raises(ApplicationError) as failure:
            await steps.run(step, is_local=is_local)
        failures.append(failure.value)
    assert (await steps.state(), await steps.book.events(steps.order.order_id), steps.sent) == before
    assert not failures[-1].non_retryable
    return failures[-1]


async def test_an_order_that_was_never_sent_waits_without_a_completion_date(gated: Steps):
    await held(gated)

    failure = await turned_away(gated, gated.telecom.place_telecom_order)

    assert failure.type == "Held"
    assert "by li" in failure.message
    assert (await gated.state()).completion_date is None
    await released(gated)
    assert (await gated.run(gated.telecom.place_telecom_order)).next.kind == "settle"


async def test_doubt_waits_and_is_resolved_by_evidence_of_after_the_release(gated: Steps):
    gated.carrier.plan = [Post(acts=False, answer=UNANSWERED)]
    assert (await gated.run(gated.telecom.place_telecom_order)).next.kind == "query_carrier"
    await held(gated)

    for hours in (0, 1, 24):  # past the latest POST, past the burn's earliest moment
        gated.clock.ahead += timedelta(hours=hours)
        await turned_away(gated, gated.telecom.query_telecom_order)
    assert (await gated.state()).not_found_at is None, "time alone is no evidence"

    await released(gated)
    assert (await gated.run(gated.telecom.query_telecom_order)).next.kind == "cancel_at_carrier"
    await held(gated)
    await turned_away(gated, gated.telecom.cancel_telecom_order)
    assert (await gated.state()).burn_at is None
    await released(gated)
    assert (await gated.run(gated.telecom.cancel_telecom_order)).next.kind == "start_refund"
    assert gated.carrier.calls.count("POST") == 1


async def test_an_answer_that_comes_while_held_is_booked(gated: Steps):
    """The POST left before; its answer is the carrier's word like any other."""
    gate(gated)
    inner = gated.carrier.submit

    async def held_meanwhile(*given: Any, **named: Any) -> Any:
        await gated.book.holds.hold("carrier", **LI, until=None)
        return await inner(*given, **named)

    gated.carrier.submit = held_meanwhile
    assert (await gated.run(gated.telecom.place_telecom_order)).next.kind == "settle"


async def test_an_operators_word_is_written_while_held_and_followed_after_the_release(gated: Steps):
    await held(gated)
    await gated.book.decide(
        gated.order.order_id,
        lambda stored: operator_rules.request_cancel(stored.state),
        kind="cancel_requested",
        detail=lambda _: {},
    )

    assert (await gated.run(gated.telecom.place_telecom_order)).next.kind == "cancel_at_carrier"
    await turned_away(gated, gated.telecom.cancel_telecom_order)
    await released(gated)
    assert (await gated.run(gated.telecom.cancel_telecom_order)).next.kind == "start_refund"
    assert "POST" not in gated.carrier.calls


async def test_a_held_carrier_holds_no_refund_up_and_a_held_provider_no_order(gated: Steps):
    await held(gated, "wechat")
    assert (await gated.run(gated.telecom.place_telecom_order)).next.kind == "settle"
    await gated.put(carrier_outcome="rejected", carrier_code="X", carrier_outcome_at=gated.clock.now())
    await held(gated)

    assert (await gated.run(gated.telecom.place_telecom_order)).next.kind == "start_refund"
    assert (await gated.run(gated.refunding.record_refund)).next.kind == "send_refund"
    assert (await turned_away(gated, gated.refunding.refund_payment)).type == "Held"
    await released(gated, "wechat")
    assert (await gated.run(gated.refunding.refund_payment)).next.kind == "query_refund"
    await held(gated, "wechat")
    await turned_away(gated, gated.refunding.query_refund)
    await released(gated, "wechat")
    assert (await gated.run(gated.refunding.query_refund)).next.kind == "settle"
    assert gated.provider.calls == ["REFUND", "QUERY"]


async def test_a_refund_whose_answer_was_lost_is_asked_for_after_the_release_before_it_is_sent_again(gated: Steps):
    now = gated.clock.now()
    await gated.put(posts=1, carrier_outcome="rejected", carrier_code="X", carrier_outcome_at=now)
    await gated.put(refund_sequence=1, refund_at=now, refund_sent_at=now, refund_answered="unknown")
    await held(gated, "wechat")
    await turned_away(gated, gated.refunding.refund_payment)
    await released(gated, "wechat")

    await gated.run(gated.refunding.refund_payment)

    assert gated.provider.calls == ["QUERY"], "sent a moment ago: it may not be shown yet"


async def test_a_carrier_that_cannot_be_asked_needs_no_call_to_end_what_was_never_sent(gated: Steps):
    gated.desk = dataclasses.replace(gated.desk, times=replace(gated.desk.times, can_be_asked=False))
    await held(gated)
    await gated.put(cancel_reason="CANCELLED")

    assert (await gated.run(gated.telecom.cancel_telecom_order)).next.kind == "start_refund"
    assert gated.sent == []


async def test_a_longer_hold_is_looked_at_more_rarely_up_to_a_bound(gated: Steps):
    await held(gated)
    pauses: list[float] = []
    for hours in (0, 0.1, 10):
        gated.clock.ahead = timedelta(hours=hours)
        failure = await turned_away(gated, gated.telecom.place_telecom_order)
        assert failure.next_retry_delay is not None
        pauses.append(failure.next_retry_delay.total_seconds())

    assert pauses == [5, pytest.approx(90, abs=5), HELD_LONGEST_SECONDS]


async def test_a_book_that_is_away_lets_nothing_leave(gated: Steps):
    class Away:
        async def not_released(self) -> Sequence[Hold]:
            raise Unavailable("away")

    made = CallGate(Away(), Slots(), gated.clock, {}, scale=1.0)
    gated.desk = dataclasses.replace(gated.desk, gate=made)
    gated.rewire()

    with pytest.raises(Unavailable):
        await gated.run(gated.telecom.place_telecom_order)
    assert gated.sent == []


async def test_a_book_that_hangs_is_asked_once_for_all_who_wait_and_fails_them_together():
    """Two hundred attempts, each of them waiting out the limits of all before it, would block a worker for minutes."""
    asked, hangs = list[str](), asyncio.Event()

    class Hanging:
        async def not_released(self) -> Sequence[Hold]:
            asked.append("holds")
            await hangs.wait()
            raise Unavailable("the database does not answer")

        async def take(self, part: str, count: int, *, per_second: float, at_most_seconds: float) -> tuple[int, float]:
            del count, per_second, at_most_seconds
            asked.append(part)
            await hangs.wait()
            raise Unavailable("the database does not answer")

    made = CallGate(Hanging(), Hanging(), SystemClock(), {}, scale=1.0)
    pace = Pace("carrier", Hanging(), 20.0)
    waiting = [asyncio.create_task(one) for _ in range(200) for one in (made.stopped("carrier"), pace.take(1.0))]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the one that asked
    waiting[1].cancel()
    await asyncio.sleep(0)
    hangs.set()
    first, second, *others = await asyncio.gather(*waiting, return_exceptions=True)

    assert sorted(asked) == ["carrier", "holds"]
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    assert {type(one) for one in others} == {Unavailable}


async def test_a_process_that_dies_with_moments_it_took_or_an_attempt_that_is_cancelled_holds_nobody_up():
    slots, per_second = Slots(), 20.0
    loop = asyncio.get_running_loop()
    dead, alive = (Pace("carrier", slots, per_second, now=loop.time) for _ in range(2))
    began = asyncio.create_task(dead.take(SLOT_SECONDS))
    await asyncio.sleep(0)
    began.cancel()
    await asyncio.wait([began])

    assert await alive.take(SLOT_SECONDS)
    assert slots.asked == 2


async def test_a_local_try_that_is_turned_away_takes_no_moment_to_come_back_from_the_regular_one(gated: Steps):
    gate(gated, carrier=RARE)
    await gated.run(gated.telecom.query_telecom_order)
    gate_ = gated.desk.gate
    assert isinstance(gate_, CallGate)

    failures: list[ApplicationError] = []
    for is_local in (True, True, True, False):
        with pytest.raises(ApplicationError) as failure:
            await gated.run(gated.telecom.place_telecom_order, is_local=is_local)
        failures.append(failure.value)

    assert [one.next_retry_delay for one in failures[:3]] == [None] * 3
    assert failures[3].next_retry_delay is not None
    assert failures[3].next_retry_delay.total_seconds() <= SLOT_SECONDS + 1 / RARE


async def test_an_order_that_was_sent_when_the_carrier_could_be_asked_is_not_burnt_while_held(gated: Steps):
    """The dialect was changed since: what decides is whether this order's burn is a call."""
    gated.carrier.plan = [Post(acts=False, answer=UNANSWERED)]
    await gated.run(gated.telecom.place_telecom_order)
    gated.desk = dataclasses.replace(gated.desk, times=replace(gated.desk.times, can_be_asked=False))
    await held(gated)
    await gated.put(cancel_reason="CANCELLED", not_found_at=gated.clock.now() + timedelta(hours=1))
    gated.clock.ahead += timedelta(hours=2)

    assert (await turned_away(gated, gated.telecom.cancel_telecom_order)).type == "Held"


async def test_what_is_called_too_often_is_turned_away_with_nothing_sent_or_written(gated: Steps):
    gate(gated, carrier=RARE)
    gated.carrier.plan = [Post(answer=AWAY)]
    await gated.run(gated.telecom.query_telecom_order)  # takes the only slot of a quarter of an hour

    failure = await turned_away(gated, gated.telecom.place_telecom_order)

    assert failure.type == "Paced"
    assert "TOPUP_CALLS_PER_SECOND" in failure.message


@in_virtual_time
async def test_a_moment_that_was_not_used_in_time_is_lost_and_makes_no_burst():
    loop = asyncio.get_running_loop()
    pace = Pace("carrier", Slots(), 100.0, now=loop.time)
    assert await pace.take(SLOT_SECONDS), "and nine more are taken ahead"
    await asyncio.sleep(1 + SLOT_LIVES_SECONDS)

    since = loop.time()
    for _ in range(10):
        assert await pace.take(SLOT_SECONDS)

    assert loop.time() - since == pytest.approx(9 / 100)


async def test_no_more_leave_than_the_limit_over_all_workers_and_what_gathered_comes_one_by_one():
    """A thousand that come at once to four workers."""
    slots, per_second = Slots(), 20.0
    loop = asyncio.get_running_loop()
    workers = [Pace("carrier", slots, per_second, now=loop.time) for _ in range(4)]
    left: list[float] = []
    backs: list[float] = []

    async def call(worker: Pace) -> None:
        if await worker.take(SLOT_SECONDS):
            left.append(loop.time())
        else:
            backs.append(worker.come_back_seconds())

    began = loop.time()
    await asyncio.gather(*(call(worker) for worker in workers for _ in range(250)))
    took_seconds = loop.time() - began

    assert 0 < len(left) <= per_second * (took_seconds + SLOT_LIVES_SECONDS) + 1
    assert len(left) + len(backs) == 1000
    assert slots.asked < 50 * (1 + took_seconds), "those turned away ask no database"
    ordered = sorted(backs)
    assert ordered[0] > SLOT_SECONDS / 2
    assert ordered[-1] + took_seconds > 0.7 * 250 / per_second, "spread as they are let through, by each worker"


class FreezesAfterYes:
    """Says yes once; then the worker stands for ten minutes, in which something may happen."""

    def __init__(self, steps: Steps, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._steps, self._meanwhile, self._frozen = steps, meanwhile, False

    async def stopped(self, part: str) -> None:
        del part
        if not self._frozen:
            self._frozen = True
            await self._meanwhile()
            self._steps.clock.ahead += timedelta(minutes=10)


async def frozen_before_the_right(steps: Steps, meanwhile: Callable[[], Awaitable[object]]) -> None:
    steps.desk = dataclasses.replace(steps.desk, gate=FreezesAfterYes(steps, meanwhile))
    steps.rewire()
    await steps.run(steps.telecom.place_telecom_order)


async def nothing() -> None:
    """Nobody else works on the order."""


async def test_frozen_after_the_gates_yes_it_sends_once_by_a_right_of_the_moment_it_goes_on(steps: Steps):
    began = steps.clock.now()

    await frozen_before_the_right(steps, nothing)

    state = await steps.state()
    assert (len(steps.carrier.calls), state.posts) == (1, 1)
    assert state.last_post_at is not None
    assert state.last_post_at >= began + timedelta(minutes=10)


async def test_frozen_after_the_gates_yes_it_sends_nothing_for_an_order_that_another_worker_has_sold(steps: Steps):
    async def sold() -> None:
        await steps.run(steps.telecom.place_telecom_order)

    await frozen_before_the_right(steps, sold)

    assert (len(steps.carrier.calls), (await steps.state()).posts) == (1, 1)


async def test_frozen_after_the_gates_yes_it_sends_nothing_for_an_order_that_was_cancelled_meanwhile(steps: Steps):
    async def cancelled() -> None:
        await steps.book.decide(
            steps.order.order_id,
            lambda stored: operator_rules.request_cancel(stored.state),
            kind="cancel_requested",
            detail=lambda _: {},
        )

    await frozen_before_the_right(steps, cancelled)

    assert (steps.carrier.calls, (await steps.state()).posts) == ([], 0)
