"""Every branch of the saga on the real server: what it did is read from the outside world's own state."""

from datetime import timedelta

import pytest

from tests.workflows.fakes import (
    AWAY,
    BROKEN,
    THROTTLED,
    UNANSWERED,
    Post,
)
from tests.workflows.scenario import scenario
from tests.workflows.world import World

pytestmark = pytest.mark.real


@scenario
async def test_a_delivered_order_is_posted_once_and_every_platform_is_told(world: World):
    handle = await world.start()

    result = await world.result(handle)

    assert result.outcome == "delivered"
    assert world.carrier.calls == ["POST"]
    assert world.wechat.calls == []
    assert world.notifier.results("new") == world.notifier.results("legacy") == ["delivered"]
    assert (await world.state()).outcome == "delivered"


@scenario
async def test_a_refused_order_is_refunded_in_full_and_told_twice(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=5))

    assert (result.outcome, result.reason) == ("refunded", "SIM_SUSPENDED")
    assert world.wechat.paid_back == [f"R{world.order.order_id}"]
    assert world.wechat.requests[0].amount_fen == world.order.amount_fen
    assert sorted(world.notifier.results("new")) == ["failed", "refunded"]
    assert b'"reason":"SIM_SUSPENDED"' in next(p for _, r, p in world.notifier.received if r == "failed")


@scenario
@pytest.mark.parametrize("answer", [UNANSWERED, BROKEN], ids=["silent", "500"])
async def test_a_carrier_that_acted_and_did_not_say_so_is_asked_never_posted_again(world: World, answer):
    world.carrier.plan = [Post(answer=answer)]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=10))

    assert result.outcome == "delivered"
    assert world.carrier.calls.count("POST") == 1
    assert "GET" in world.carrier.calls
    assert world.wechat.calls == []


@pytest.mark.slow
@scenario
@pytest.mark.parametrize(
    ("answer", "earliest_seconds"), [(UNANSWERED, 75), (BROKEN, 15), (THROTTLED, 30)], ids=["silent", "500", "429"]
)
async def test_a_carrier_that_did_not_act_gets_the_same_body_again_after_an_empty_answer_that_counts(
    world: World, answer, earliest_seconds
):
    world.carrier.plan = [Post(acts=False, answer=answer)]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=10))

    assert result.outcome == "delivered"
    assert len(world.carrier.posts) == 2
    assert world.carrier.posts[0] == world.carrier.posts[1]
    between = world.carrier.calls[world.carrier.calls.index("POST") + 1 :]
    assert "GET" in between[: between.index("POST")]
    intents = [e for e in await world.book.events(world.order.order_id) if e.kind == "post_intent"]
    assert (intents[1].at - intents[0].at).total_seconds() >= earliest_seconds


@scenario
async def test_a_late_get_within_the_visibility_lag_is_doubt_and_ends_delivered(world: World):
    world.carrier.plan = [Post(answer=UNANSWERED)]
    world.carrier.lag = timedelta(seconds=14)
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=10))

    assert result.outcome == "delivered"
    assert world.carrier.calls.count("POST") == 1


@scenario
async def test_an_order_that_the_carrier_never_takes_in_is_burnt_then_refunded(world: World):
    world.carrier.plan = [Post(acts=False, answer=UNANSWERED) for _ in range(10)]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, result.reason) == ("refunded", "NOT_FOUND_AND_BURNT")
    assert world.carrier.calls.count("CANCEL") == 1
    assert len(set(world.carrier.posts)) == 1
    entry = await world.state()
    assert entry.burn_at is not None
    assert entry.completion_date is not None
    assert entry.burn_at >= entry.completion_date + timedelta(seconds=15)
    assert world.wechat.paid_back == [f"R{world.order.order_id}"]


@pytest.mark.slow
@scenario
async def test_a_carrier_silent_for_three_days_parks_the_order_and_ends_it_when_it_is_back(world: World):
    world.carrier.plan = [Post(acts=False, answer=UNANSWERED)]
    world.carrier.silent = True
    handle = await world.start()
    for hours in (1, 25, 46):
        await world.forward(handle, hours=hours)
    parked = await world.until(handle, "parked")
    assert parked.needs_operator
    assert ("order_needs_operator", world.order.order_id) in [(kind, f["order_id"]) for kind, f in world.alerts]
    assert world.wechat.calls == []
    assert (await world.state()).first_pass is False

    world.carrier.silent = False
    result = await world.result(handle, within=timedelta(days=1))

    assert result.outcome == "refunded"
    assert world.carrier.calls.count("POST") == 1
    assert world.carrier.orders[world.order.order_id].state == "cancelled"


@scenario
async def test_a_connection_that_was_never_made_is_no_post_and_the_order_waits_out_the_outage(world: World):
    world.carrier.plan = [Post(answer=AWAY) for _ in range(12)]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(hours=3))

    assert result.outcome == "delivered"
    assert len(world.carrier.posts) == 1
    assert "GET" not in world.carrier.calls


@scenario
@pytest.mark.parametrize(("ends", "outcome"), [("completed", "delivered"), ("failed", "refunded")])
async def test_an_order_in_flight_waits_for_the_carriers_last_word(world: World, ends, outcome):
    world.carrier.plan = [Post(state="inProgress")]
    handle = await world.start()
    await world.until(handle, "in_doubt")
    await world.forward(handle, minutes=30)
    assert world.wechat.calls == []
    assert "CANCEL" not in world.carrier.calls

    world.carrier.orders[world.order.order_id].state = ends
    result = await world.result(handle, within=timedelta(hours=2))

    assert result.outcome == outcome
    assert world.carrier.calls.count("POST") == 1


@scenario
async def test_a_reopened_run_asks_the_carrier_before_it_sends_anything(world: World):
    handle = await world.start(reopened=True)

    result = await world.result(handle, within=timedelta(minutes=5))

    assert result.outcome == "delivered"
    assert world.carrier.calls == ["GET", "POST"]


@scenario
async def test_a_second_run_of_a_settled_order_touches_nothing_outside(world: World):
    await world.result(await world.start())
    before = (list(world.carrier.calls), list(world.wechat.calls), list(world.notifier.received))

    again = await world.result(await world.start(reopened=True))

    assert again.outcome == "delivered"
    assert (world.carrier.calls, world.wechat.calls, world.notifier.received) == before
