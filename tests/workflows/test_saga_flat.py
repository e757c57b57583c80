"""A carrier that can't be asked: one POST ever, every doubt waits for a person, nothing is guessed."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from orders import carrier_rules
from orders.errors import Unavailable
from orders.outcomes import Completed, InDoubt, Refused
from tests.limits import WAIT_SECONDS
from tests.workflows.fakes import AWAY, UNANSWERED
from tests.workflows.flat import FlatPost
from tests.workflows.scenario import scenario
from tests.workflows.world import TIMES, World

pytestmark = pytest.mark.real
SUSPENDED = Refused(code="SIM_SUSPENDED")
UNCLEAR = InDoubt(cause="answered", why="Receipt 11001: closed after a time-out.", carrier_order_id="M2M4711")


@scenario
async def test_a_flat_order_that_the_carrier_completes_is_delivered_by_its_one_post(world: World):
    await world.speak_flat()
    result = await world.result(await world.start())

    assert result.outcome == "delivered"
    assert (world.flat.calls, world.flat.sold) == (["POST"], 1)
    assert world.wechat.calls == []


@scenario
async def test_a_flat_order_that_the_carrier_refuses_is_refunded(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=SUSPENDED)]
    result = await world.result(await world.start(), within=timedelta(minutes=5))

    assert (result.outcome, result.reason) == ("refunded", "SIM_SUSPENDED")
    assert world.flat.calls == ["POST"]
    assert len(world.wechat.paid_back) == 1


@pytest.mark.slow
@scenario
@pytest.mark.parametrize("answer", [UNANSWERED, UNCLEAR], ids=["silent", "unclear"])
async def test_a_flat_doubt_is_parked_at_once_and_resolved_as_delivered(world: World, answer):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=answer)]
    handle = await world.start()
    parked = await world.until(handle, "parked")
    assert (parked.needs_operator, parked.reason) == (True, answer.why)
    async with asyncio.timeout(WAIT_SECONDS):
        while (await world.state()).status != "parked":
            await asyncio.sleep(0.05)
    assert [kind for kind, _ in world.alerts] == ["order_needs_operator"]
    assert (await world.state()).first_pass is False
    details = await world.details(handle)
    assert "--outcome delivered" in details
    assert "--outcome not_delivered" not in details
    assert answer.carrier_order_id in details
    await world.forward(handle, minutes=2)

    await world.update(handle, "resolve", outcome="delivered")
    result = await world.result(handle, within=timedelta(minutes=5))

    assert result.outcome == "delivered"
    assert (world.flat.calls, world.wechat.calls) == (["POST"], [])


@scenario
async def test_not_delivered_counts_once_a_flat_post_can_act_no_more_and_then_refunds(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(acts=False, answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "parked")

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(handle, "resolve", outcome="not_delivered")
    assert "Ask the carrier again after" in str(refused.value.cause)
    entry = await world.state()
    assert (entry.carrier_outcome, entry.cancel_reason, world.wechat.calls) == (None, "", [])

    async with asyncio.timeout(WAIT_SECONDS):
        while "--outcome not_delivered" not in await world.details(handle):
            await world.forward(handle, seconds=10)
    await world.update(handle, "resolve", outcome="not_delivered")
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "RESOLVED_BY_OPERATOR")
    entry = await world.state()
    assert entry.last_post_at is not None
    assert entry.carrier_outcome_at is not None
    assert entry.carrier_outcome_at >= entry.last_post_at + timedelta(seconds=60 + 15)
    assert (world.flat.calls, world.flat.sold, len(world.wechat.paid_back)) == (["POST"], 0, 1)


@scenario
async def test_a_cancel_before_any_flat_post_is_a_burn_in_the_book_and_calls_nobody(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=AWAY) for _ in range(100)]
    handle = await world.start()
    async with asyncio.timeout(WAIT_SECONDS):
        while "away" not in world.flat.calls:
            await world.forward(handle, seconds=1)

    await handle.cancel()
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "CANCELLED")
    assert set(world.flat.calls) == {"away"}
    assert (await world.state()).carrier_outcome == "cancelled"


@scenario
async def test_a_flat_carrier_that_is_away_is_waited_for_and_gets_one_post(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=AWAY) for _ in range(6)]
    handle = await world.start()
    async with asyncio.timeout(WAIT_SECONDS):
        while "away" not in world.flat.calls:
            await world.forward(handle, seconds=1)
    await world.update(handle, "retry_now")

    result = await world.result(handle, within=timedelta(hours=1))

    assert result.outcome == "delivered"
    assert (world.flat.calls.count("POST"), world.flat.sold) == (1, 1)


@scenario
async def test_a_cancel_in_flat_doubt_frees_nothing(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "parked")

    await handle.cancel()
    said = await world.update(handle, "refund_now")
    await world.forward(handle, minutes=2)

    assert "no cancel" in said
    assert (await world.status(handle)).state == "parked"
    assert (await world.state()).cancel_reason == "CANCELLED"
    assert (world.flat.calls, world.wechat.calls) == (["POST"], [])
    await world.update(handle, "resolve", outcome="delivered")
    assert (await world.result(handle, within=timedelta(minutes=5))).outcome == "delivered"


@scenario
@pytest.mark.parametrize(
    ("answer", "outcome"), [(None, "delivered"), (SUSPENDED, "refunded")], ids=["completed", "refused"]
)
async def test_a_flat_answer_that_comes_late_is_booked_and_gone_on_by_without_a_person(world: World, answer, outcome):
    await world.speak_flat()
    answers = asyncio.Event()
    world.flat.plan = [FlatPost(answer=answer, after=answers)]
    handle = await world.start()
    if world.local_first:
        listening = await world.until(handle, "in_doubt")
        assert not listening.needs_operator
    else:
        async with asyncio.timeout(WAIT_SECONDS):
            while world.flat.calls != ["POST"]:
                await asyncio.sleep(0.05)

    answers.set()
    result = await world.result(handle, within=timedelta(hours=1))

    assert result.outcome == outcome
    assert world.flat.calls == ["POST"]
    assert "order_needs_operator" not in [kind for kind, _ in world.alerts]


@scenario
async def test_a_flat_answer_that_comes_when_the_order_is_parked_ends_it(world: World):
    """Nobody could say so to the run: it looks in the book again."""
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "parked")

    entry = await world.state()
    await world.book.decide(
        world.order.order_id,
        lambda stored: carrier_rules.record_post_response(stored.state, world.clock.now(), Completed(), 1),
        kind="post",
        detail=lambda _: {},
    )
    result = await world.result(handle, within=timedelta(days=1))

    assert (entry.carrier_outcome, result.outcome) == (None, "delivered")


@scenario
async def test_a_reopened_flat_order_whose_post_was_granted_parks_and_never_sends(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "parked")
    await handle.terminate("an operator's accident")

    again = await world.start(reopened=True)
    parked = await world.until(again, "parked")
    assert (parked.needs_operator, parked.reason) == (True, UNANSWERED.why)
    await world.forward(again, minutes=2)
    await world.update(again, "retry_now")
    assert world.flat.calls == ["POST"]

    await world.update(again, "resolve", outcome="delivered")
    assert (await world.result(again, within=timedelta(minutes=5))).outcome == "delivered"
    assert (world.flat.calls, world.wechat.calls) == (["POST"], [])


@scenario
async def test_a_reopened_flat_order_that_was_never_sent_is_sent(world: World):
    await world.speak_flat()

    result = await world.result(await world.start(reopened=True), within=timedelta(minutes=5))

    assert result.outcome == "delivered"
    assert world.flat.calls == ["POST"]


@scenario
async def test_a_flat_order_of_a_restored_book_parks_for_it_may_have_been_sent(world: World):
    world.restored_at = world.clock.now() - timedelta(days=1)
    await world.speak_flat()
    handle = await world.start()
    parked = await world.until(handle, "parked")
    assert "restored" in parked.reason
    await world.again_with()  # the mode is over; what it could not rule out stays
    await handle.cancel()
    await world.forward(handle, minutes=2)
    assert (await world.status(handle)).state == "parked"
    assert (world.flat.calls, world.wechat.calls) == ([], [])

    await world.update(handle, "resolve", outcome="not_delivered")
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "RESOLVED_BY_OPERATOR")
    assert world.flat.calls == []


@scenario
async def test_an_order_sent_flat_stays_so_when_another_dialect_is_spoken(world: World):
    await world.speak_flat()
    world.flat.plan = [FlatPost(answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "parked")
    world.times = TIMES
    await world.again_with()

    await handle.cancel()
    await world.forward(handle, minutes=2)
    await world.update(handle, "resolve", outcome="delivered")

    assert (await world.result(handle, within=timedelta(minutes=5))).outcome == "delivered"
    assert world.carrier.calls == []


@scenario
async def test_a_flat_answer_waits_for_a_book_that_is_away(world: World):
    """It is never heard again."""
    await world.speak_flat()
    decide, away = world.book.decide, [1, 2]

    async def sometimes(*arguments: Any, kind: str, **named: Any) -> Any:
        if kind == "post" and away:
            away.pop()
            raise Unavailable("The order book's database doesn't answer.")
        return await decide(*arguments, kind=kind, **named)

    world.book.decide = sometimes
    result = await world.result(await world.start(), within=timedelta(minutes=5))

    assert (result.outcome, away, world.flat.calls) == ("delivered", [], ["POST"])
    assert world.alerts == []


@pytest.mark.slow
@scenario
async def test_a_flat_post_that_a_dead_worker_was_granted_is_listened_for_and_then_parked(world: World):
    await world.speak_flat()
    granted = await world.book.decide(
        world.order.order_id,
        lambda stored: carrier_rules.authorize_post(stored.state, world.clock.now(), world.times, lambda _: b"iccid=1"),
        kind="post_intent",
        detail=lambda _: {},
    )
    assert isinstance(granted, carrier_rules.PostAuthorized)
    handle = await world.start()
    listening = await world.until(handle, "in_doubt")
    assert not listening.needs_operator

    await world.forward(handle, seconds=90)
    parked = await world.until(handle, "parked")

    assert parked.needs_operator
    assert world.flat.calls == []
    await world.update(handle, "resolve", outcome="not_delivered")
    assert (await world.result(handle, within=timedelta(hours=1))).outcome == "refunded"
