"""Cancel, updates and parked orders: an operator's word is in the book before anything follows from it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from tests.limits import WAIT_SECONDS
from tests.workflows.fakes import AWAY, UNANSWERED, Post
from tests.workflows.scenario import scenario
from tests.workflows.world import World
from workflows.steps import TopUpResult

pytestmark = pytest.mark.real


@scenario
async def test_a_cancel_while_nothing_was_sent_burns_at_once_and_refunds(world: World):
    world.carrier.plan = [Post(answer=AWAY) for _ in range(100)]
    handle = await world.start()
    while "away" not in world.carrier.calls:
        await world.forward(handle, seconds=1)

    await handle.cancel()
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "CANCELLED")
    assert "POST" not in world.carrier.calls
    assert world.carrier.orders[world.order.order_id].state == "cancelled"
    assert len(world.wechat.paid_back) == 1


@scenario
async def test_a_cancel_in_doubt_waits_for_the_carriers_word_and_changes_nothing_if_it_delivered(world: World):
    world.carrier.plan = [Post(answer=UNANSWERED)]
    world.carrier.lag = timedelta(seconds=14)
    handle = await world.start()
    await world.until(handle, "in_doubt")

    await handle.cancel()
    result = await world.result(handle, within=timedelta(hours=1))

    assert result.outcome == "delivered"
    assert world.wechat.calls == []


@pytest.mark.slow
@scenario
async def test_a_cancel_in_doubt_of_an_order_that_never_arrived_burns_after_the_date_and_refunds(world: World):
    world.carrier.plan = [Post(acts=False, answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "in_doubt")

    await handle.cancel()
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "CANCELLED")
    assert world.carrier.calls.count("POST") == 1
    entry = await world.state()
    assert entry.burn_at is not None
    assert entry.completion_date is not None
    assert entry.burn_at >= entry.completion_date + timedelta(seconds=15)


@scenario
async def test_a_cancel_during_the_refund_changes_nothing(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    world.wechat.settles_as = "PROCESSING"
    handle = await world.start()
    await world.until(handle, "refunding")

    await handle.cancel()
    await world.forward(handle, minutes=1)
    world.wechat.settles_as = "SUCCESS"
    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "SIM_SUSPENDED")
    assert len(world.wechat.paid_back) == 1


@scenario
async def test_a_cancel_after_delivery_changes_nothing(world: World):
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")

    await handle.cancel()
    world.notifier.down = set()
    result = await world.result(handle, within=timedelta(minutes=5))

    assert result.outcome == "delivered"
    assert world.wechat.calls == []
    assert "CANCEL" not in world.carrier.calls


@scenario
async def test_a_reopened_run_obeys_a_cancel_that_the_book_holds(world: World):
    world.carrier.plan = [Post(answer=AWAY) for _ in range(100)]
    handle = await world.start()
    while "away" not in world.carrier.calls:
        await world.forward(handle, seconds=1)
    world.carrier.silent = True
    await handle.cancel()
    while (await world.state()).cancel_reason == "":
        await world.forward(handle, seconds=1)
    await handle.terminate("an operator's accident")

    world.carrier.plan, world.carrier.silent = [], False
    again = await world.start(reopened=True)
    result = await world.result(again, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "CANCELLED")
    assert "POST" not in world.carrier.calls


@pytest.mark.slow
@scenario
async def test_retry_now_asks_at_once(world: World):
    world.carrier.plan = [Post(state="inProgress")]
    handle = await world.start()
    await world.until(handle, "in_doubt")
    await world.forward(handle, hours=3)
    world.carrier.orders[world.order.order_id].state = "completed"

    await world.update(handle, "retry_now")
    result = await world.result(handle)

    assert result.outcome == "delivered"


@scenario
async def test_a_partial_order_is_parked_at_once_and_resolved_as_delivered(world: World):
    world.carrier.plan = [Post(state="partial")]
    handle = await world.start()
    parked = await world.until(handle, "parked")
    assert parked.needs_operator

    await world.update(handle, "resolve", outcome="delivered")
    result = await world.result(handle, within=timedelta(minutes=5))

    assert result.outcome == "delivered"
    assert world.wechat.calls == []


@scenario
async def test_resolve_not_delivered_needs_the_carriers_reference_while_the_carrier_shows_the_order(world: World):
    world.carrier.plan = [Post(state="partial")]
    handle = await world.start()
    await world.until(handle, "parked")

    await world.update(handle, "resolve", outcome="not_delivered", note="I think so")
    await world.forward(handle, minutes=10)
    assert world.wechat.calls == []
    reference = f"CARRIER-{world.order.order_id}"
    await world.update(handle, "resolve", outcome="not_delivered", note=f"{reference} was given up")
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "RESOLVED_BY_OPERATOR")
    assert len(world.wechat.paid_back) == 1


@pytest.mark.slow
@scenario
async def test_an_order_that_the_carrier_shows_in_a_state_that_nobody_knows_is_resolved_with_its_reference(
    world: World,
):
    world.carrier.plan = [Post(state="weird")]
    handle = await world.start()
    await world.until(handle, "in_doubt")
    await world.forward(handle, hours=30)
    await world.until(handle, "parked")
    reference = f"CARRIER-{world.order.order_id}"
    assert f"given up by the carrier: {reference}" in await world.details(handle)

    await world.update(handle, "resolve", outcome="not_delivered", note=f"{reference} is stuck, and was given up")
    result = await world.result(handle, within=timedelta(hours=2))

    assert (result.outcome, result.reason) == ("refunded", "RESOLVED_BY_OPERATOR")
    assert world.carrier.calls.count("POST") == 1
    assert len(world.wechat.paid_back) == 1


@scenario
async def test_refund_now_refunds_nothing_that_the_carrier_has_completed(world: World):
    world.carrier.plan = [Post(state="inProgress")]
    handle = await world.start()
    await world.until(handle, "in_doubt")

    await world.update(handle, "refund_now")
    world.carrier.orders[world.order.order_id].state = "completed"
    result = await world.result(handle, within=timedelta(hours=1))

    assert result.outcome == "delivered"
    assert world.wechat.calls == []


@scenario
@pytest.mark.parametrize(
    ("name", "word", "sentence"),
    [
        ("retry_now", {"operator": ""}, "Say who you are and why"),
        ("resolve", {"outcome": "maybe"}, "outcome must be one of"),
        ("resolve", {"outcome": "refunded"}, "has not definitely refused"),
        ("resolve", {"outcome": "delivered", "note": ""}, "Say who you are and why"),
        ("renotify", {}, "No notice is pending"),
    ],
    ids=["unsigned", "unknown outcome", "not denied", "no note", "nothing pending"],
)
async def test_a_word_that_is_not_valid_now_is_refused_by_a_sentence(world: World, name, word, sentence):
    world.carrier.plan = [Post(state="inProgress")]
    handle = await world.start()
    await world.until(handle, "in_doubt")

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(handle, name, **word)

    assert sentence in str(refused.value.cause)
    world.carrier.orders[world.order.order_id].state = "completed"
    await world.result(handle, within=timedelta(minutes=10))


@scenario
async def test_a_word_of_the_wrong_shape_is_refused_by_a_sentence(world: World):
    world.carrier.plan = [Post(state="inProgress")]
    handle = await world.start()
    await world.until(handle, "in_doubt")

    for name in ("retry_now", "resolve", "refund_now", "renotify"):
        for shape in ([], [None], ["li"], [["li"]], [{"operator": 7, "note": "x"}], [{"operator": None, "note": "x"}]):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(name, args=shape)
            assert "Send one JSON object" in str(refused.value.cause)
    world.carrier.orders[world.order.order_id].state = "completed"
    await world.result(handle, within=timedelta(minutes=10))


async def waiting_attempt(handle: WorkflowHandle[Any, TopUpResult], *, after: int) -> int:
    """The number of the attempt that the run's activity waits for, once a later one than `after` is that."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            for pending in (await handle.describe()).raw_description.pending_activities:
                if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and pending.attempt > after:
                    return pending.attempt
            await asyncio.sleep(0.05)


@scenario
async def test_resolve_delivered_is_refused_where_nothing_was_ever_sent(world: World):
    world.carrier.plan = [Post(answer=AWAY) for _ in range(30)]
    handle = await world.start()
    attempt = await waiting_attempt(handle, after=0)
    while attempt < 7:  # by then half a minute passes before the next one is authorized to send
        await world.forward(handle, seconds=70)
        attempt = await waiting_attempt(handle, after=attempt)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(handle, "resolve", outcome="delivered")

    assert "Nothing was ever sent" in str(refused.value.cause)
    await world.result(handle, within=timedelta(hours=10))
