"""Goodwill: a delivered order stays delivered, and what two persons decide is given back once, whatever breaks."""

from datetime import timedelta
from functools import partial

import pytest
from temporalio.client import WorkflowHandle

from adapters.order_book.worked_on import WorkedOn
from orders import goodwill, operator_rules
from orders.goodwill import Goodwill, Word
from tests.workflows.fakes import Post, account_gone, acts_then_silent, lost, unsigned
from tests.workflows.scenario import scenario
from tests.workflows.world import World
from workflows.steps import Start, TopUpInput, TopUpResult

pytestmark = pytest.mark.real


async def say(world: World, operator: str, amount_fen: int, note: str) -> Word:
    rule = partial(goodwill.ask, amount_fen=amount_fen, operator=operator, note=note)
    calls = len(world.carrier.calls)
    return await world.book.goodwill.ask(world.order.order_id, rule, detail=lambda _: {"carrier_calls": calls})


async def decided(world: World, amount_fen: int, note: str = "the car was in a tunnel") -> Goodwill:
    """The order is delivered, and two persons give so much of it back."""
    if (await world.state()).outcome is None:
        await world.result(await world.start())
    await say(world, "li", amount_fen, note)
    word = await say(world, "wang", amount_fen, note)
    assert (word.became, word.goodwill is not None) == ("confirmed", True), word.says
    assert word.goodwill is not None
    return word.goodwill


async def start(world: World, one: Goodwill, *, reopened: bool = True) -> WorkflowHandle[None, TopUpResult]:
    """As the console and the sweep do (`activities.reopening`)."""
    await WorkedOn(world.book).decide(
        one.name,
        lambda stored: operator_rules.reopen(stored.state, world.clock.now()),
        kind="reopened",
        detail=lambda _: {},
    )
    asked = TopUpInput(
        order_id=one.name, package_id="goodwill", amount_fen=one.amount_fen, provider="wechat", reopened=reopened
    )
    arguments = Start(asked, "").arguments(world.task_queue)
    assert (arguments["workflow"], arguments["id"]) == ("GoodwillRefund", f"goodwill/{one.name}")
    handle = await world.env.client.start_workflow(**arguments, result_type=TopUpResult)
    world.handles.append(handle)
    return handle


async def stands(world: World) -> list[str]:
    return [one.stands for one in await world.book.goodwill.of(world.order.order_id)]


async def must_be_delivered_and_whole(world: World) -> None:
    """What the order was, it still is: its end, its car's last word, its one sale, its trail."""
    order_id = world.order.order_id
    assert (await world.state()).outcome == "delivered"
    assert (await world.state()).refund_sequence == 0
    line = next(event for event in await world.book.events(order_id) if event.kind == "goodwill")
    assert line.detail["carrier_calls"] == len(world.carrier.calls), "no carrier hears of it"
    assert {result for _, result, _ in world.notifier.received} == {"delivered"}
    assert (await world.book.verify_trails(only=order_id)).flaws == {}


@scenario
async def test_a_part_is_given_back_once_though_the_answer_is_lost_and_the_order_stays_delivered(world: World):
    one = await decided(world, 500)
    world.wechat.plan = [acts_then_silent]

    result = await world.result(await start(world, one), within=timedelta(minutes=30))

    assert result.outcome == "refunded"
    (request,) = world.wechat.requests
    assert request.refund_number == f"G1-1-{world.order.order_id}"
    assert (request.amount_fen, request.total_fen) == (500, 9900)
    assert world.wechat.paid_back == [request.refund_number]
    assert await stands(world) == ["refunded"]
    assert {"goodwill", "goodwill_refund_send", "goodwill_settle"} <= set(await world.kinds())
    await must_be_delivered_and_whole(world)


@scenario
async def test_what_got_lost_is_sent_again_under_the_same_number(world: World):
    one = await decided(world, 9900)
    world.wechat.plan = [lost]

    await world.result(await start(world, one), within=timedelta(minutes=30))

    assert world.wechat.calls.count("REFUND") == 2
    assert world.wechat.requests[0] == world.wechat.requests[1]
    assert len(world.wechat.paid_back) == 1
    await must_be_delivered_and_whole(world)


@scenario
async def test_a_run_that_is_gone_is_taken_up_by_another_which_asks_before_it_sends(world: World):
    one = await decided(world, 500)
    world.wechat.plan = [acts_then_silent]
    world.wechat.silent = True
    handle = await start(world, one)
    while "REFUND" not in world.wechat.calls:
        await world.forward(handle, seconds=1)
    await handle.terminate()
    world.wechat.silent = False

    result = await world.result(await start(world, one), within=timedelta(hours=1))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 1
    await must_be_delivered_and_whole(world)


@scenario
async def test_an_answer_that_can_not_be_believed_calls_a_person_and_nothing_is_sent_again(world: World):
    one = await decided(world, 500)
    world.wechat.plan = [unsigned]
    world.wechat.settles_as = "PROCESSING"
    handle = await start(world, one)
    while not (await world.status(handle)).needs_operator:
        await world.forward(handle, seconds=1)
    assert ("order_needs_operator", one.name) in [(kind, fields.get("order_id")) for kind, fields in world.alerts]

    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")
    await world.result(handle, within=timedelta(hours=3))

    assert world.wechat.calls.count("REFUND") == 1
    await must_be_delivered_and_whole(world)


@scenario
async def test_what_the_provider_closed_goes_on_under_the_next_number_of_the_same_goodwill(world: World):
    one = await decided(world, 500)
    world.wechat.settles_as = "CLOSED"
    handle = await start(world, one)
    while not world.wechat.refunds:
        await world.forward(handle, seconds=1)
    world.wechat.settles_as = "SUCCESS"

    await world.result(handle, within=timedelta(hours=2))

    order_id = world.order.order_id
    assert world.wechat.refunds == {f"G1-1-{order_id}": "CLOSED", f"G1-2-{order_id}": "SUCCESS"}
    await must_be_delivered_and_whole(world)


@scenario
async def test_what_the_provider_refuses_waits_for_a_person_who_gives_it_up_and_all_can_be_given_again(world: World):
    one = await decided(world, 9000)
    world.wechat.plan = [account_gone]
    handle = await start(world, one)
    await world.until(handle, "parked")
    assert f"topup orders goodwill {world.order.order_id} --give-up 1" in await world.details(handle)

    await WorkedOn(world.book).decide(
        one.name,
        lambda stored: goodwill.give_up(stored.state, "li", "the account is closed"),
        kind="given_up",
        detail=lambda refusal: {"refused": refusal},
    )
    await handle.signal("refund_notice")
    await world.result(handle, within=timedelta(hours=3))
    assert (await stands(world), world.wechat.paid_back) == (["given_up"], [])

    again = await decided(world, 9900, "by another account")
    await world.result(await start(world, again), within=timedelta(hours=1))

    assert await stands(world) == ["given_up", "refunded"]
    assert world.wechat.paid_back == [f"G2-1-{world.order.order_id}"]
    await must_be_delivered_and_whole(world)


@scenario
async def test_nothing_that_was_said_to_its_run_makes_it_deliver_cancel_or_pay_again(world: World):
    one = await decided(world, 500)
    world.wechat.settles_as = "PROCESSING"
    handle = await start(world, one)
    await world.until(handle, "refunding")
    await handle.cancel()
    await world.update(handle, "retry_now")
    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")

    await world.result(handle, within=timedelta(hours=3))

    assert world.wechat.calls.count("REFUND") == 1
    assert await stands(world) == ["refunded"]
    await must_be_delivered_and_whole(world)


@scenario
async def test_no_goodwill_is_decided_before_the_delivery(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    await world.result(await world.start(), within=timedelta(minutes=30))

    word = await say(world, "li", 500, "the car was in a tunnel")

    assert (word.became, await stands(world)) == ("refused", [])
    assert "not delivered" in word.says
