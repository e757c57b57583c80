"""The refund: confirmed by a query, once, whatever the provider does; an operator only where no program may decide."""

import json
from datetime import timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError

from adapters.order_book.unmatched import UnmatchedRecord
from orders import unmatched
from orders.unmatched import parse_unmatched
from tests.workflows.fakes import Post, account_gone, acts_then_silent, lost, not_enough, unsigned
from tests.workflows.scenario import scenario
from tests.workflows.world import World

pytestmark = pytest.mark.real
REFUSED = Post(state="rejected", code="SIM_SUSPENDED")


@scenario
async def test_a_refund_that_acted_and_did_not_say_so_is_asked_for_and_paid_once(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [acts_then_silent]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=30))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 1
    assert len(world.wechat.paid_back) == 1


@scenario
async def test_a_refund_that_got_lost_is_sent_again_under_the_same_number(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [lost]
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=30))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 2
    assert world.wechat.requests[0] == world.wechat.requests[1]


@scenario
async def test_a_refund_is_confirmed_by_a_query_and_not_by_its_acceptance(world: World):
    world.carrier.plan = [REFUSED]
    handle = await world.start()

    await world.result(handle, within=timedelta(minutes=30))

    assert world.wechat.calls[0] == "REFUND"
    assert "QUERY" in world.wechat.calls
    settled = await world.state()
    assert settled.provider_refund_id == f"P-R{world.order.order_id}"


@pytest.mark.slow
@scenario
async def test_a_refund_in_processing_for_hours_stays_open_and_is_sent_once(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.settles_as = "PROCESSING"
    handle = await world.start()
    await world.until(handle, "refunding")
    await world.forward(handle, hours=2)
    assert (await world.state()).outcome is None

    world.wechat.refunds[f"R{world.order.order_id}"] = "SUCCESS"
    result = await world.result(handle, within=timedelta(hours=2))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 1


@pytest.mark.slow
@scenario
@pytest.mark.parametrize("nobody_takes_it_in", [False, True], ids=["in processing", "not taken in"])
async def test_a_refund_that_is_not_confirmed_for_an_hour_calls_a_person_however_quickly_it_is_answered(
    world: World, *, nobody_takes_it_in: bool
):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [lost] * 1000 if nobody_takes_it_in else []
    world.wechat.settles_as = "PROCESSING"
    handle = await world.start()
    await world.until(handle, "refunding")
    assert not (await world.status(handle)).needs_operator
    await world.forward(handle, hours=2)

    status = await world.status(handle)
    assert status.needs_operator
    assert "has not confirmed the refund for 1 h" in status.reason
    world.wechat.plan = []
    world.wechat.settles_as = "SUCCESS"
    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")
    assert (await world.result(handle, within=timedelta(hours=3))).outcome == "refunded"


@scenario
async def test_a_refund_without_balance_calls_an_operator_and_goes_on_under_the_same_number(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [not_enough] * 100
    handle = await world.start()
    await world.until(handle, "refunding")
    await world.forward(handle, minutes=1)
    status = await world.status(handle)
    assert status.needs_operator
    assert "top it up" in status.reason
    world.wechat.plan = []

    result = await world.result(handle, within=timedelta(hours=6))

    assert result.outcome == "refunded"
    assert world.wechat.paid_back == [f"R{world.order.order_id}"]


@scenario
async def test_a_closed_refund_goes_on_under_a_new_number_after_a_second_look(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.settles_as = "CLOSED"
    handle = await world.start()
    await world.until(handle, "refunding")

    def then_success(provider, request):
        provider.settles_as = "SUCCESS"
        return provider.take_in(request)

    while not world.wechat.refunds:
        await world.forward(handle, seconds=1)
    world.wechat.plan = [then_success]
    result = await world.result(handle, within=timedelta(hours=2))

    number = f"R{world.order.order_id}"
    assert result.outcome == "refunded"
    assert world.wechat.refunds == {number: "CLOSED", f"{number}-2": "SUCCESS"}
    assert [request.refund_number for request in world.wechat.requests] == [number, f"{number}-2"]
    before_second = world.wechat.calls[: len(world.wechat.calls) - world.wechat.calls[::-1].index("REFUND") - 1]
    assert before_second.count("QUERY") >= 2


@scenario
async def test_a_refund_that_the_provider_denies_waits_for_an_operators_word_and_a_last_query(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.settles_as = "ABNORMAL"
    handle = await world.start()
    await world.until(handle, "refunding")
    while (await world.status(handle)).state != "parked":
        await world.forward(handle, seconds=30)
    asked = world.wechat.calls.count("QUERY")

    world.wechat.silent = True
    await world.update(handle, "resolve", outcome="refunded", note="bank transfer 4711")
    assert "Don't pay it again" in await world.details(handle)
    world.wechat.silent = False
    result = await world.result(handle, within=timedelta(hours=1))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("QUERY") > asked
    assert (await world.state()).provider_refund_id == "bank transfer 4711"
    assert world.wechat.paid_back == []


@scenario
async def test_a_denied_refund_that_the_provider_pays_after_all_needs_no_word(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.settles_as = "ABNORMAL"
    handle = await world.start()
    await world.until(handle, "refunding")
    while (await world.status(handle)).state != "parked":
        await world.forward(handle, seconds=30)

    world.wechat.refunds[f"R{world.order.order_id}"] = "SUCCESS"
    result = await world.result(handle, within=timedelta(hours=3))

    assert result.outcome == "refunded"
    assert len(world.wechat.paid_back) == 1


@pytest.mark.slow
@scenario
async def test_a_refund_that_was_definitely_refused_is_sent_again_only_when_an_operator_asks(world: World):
    """Somebody may be paying it another way, and a provider that has changed its mind would pay it twice."""
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [account_gone]
    handle = await world.start()
    await world.until(handle, "parked")
    for _ in range(8):
        await world.forward(handle, hours=2)
    await handle.terminate()
    handle = await world.start(reopened=True)
    await world.until(handle, "parked")
    await world.forward(handle, hours=2)

    assert world.wechat.calls.count("REFUND") == 1
    assert world.wechat.calls.count("QUERY") > 4
    world.wechat.plan = [account_gone]
    await world.update(handle, "retry_now")
    for _ in range(4):
        await world.forward(handle, hours=2)
    assert world.wechat.calls.count("REFUND") == 2
    await world.update(handle, "retry_now")
    result = await world.result(handle, within=timedelta(hours=3))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 3
    assert len(world.wechat.paid_back) == 1


@scenario
async def test_a_refund_that_is_being_sent_again_can_not_be_resolved_as_paid_another_way(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [account_gone, lost]
    world.wechat.silent = False
    handle = await world.start()
    await world.until(handle, "parked")
    await world.update(handle, "retry_now")
    while world.wechat.calls.count("REFUND") < 2:
        await world.forward(handle, seconds=1)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(handle, "resolve", outcome="refunded")

    assert "has not definitely refused" in str(refused.value.cause)
    result = await world.result(handle, within=timedelta(hours=3))
    assert result.outcome == "refunded"


@scenario
async def test_an_answer_that_can_not_be_believed_calls_a_person_and_is_asked_about_again(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [unsigned]
    world.wechat.settles_as = "PROCESSING"
    handle = await world.start()
    status = await world.until(handle, "refunding")
    while not (status := await world.status(handle)).needs_operator:
        await world.forward(handle, seconds=1)

    assert "signature is wrong" in status.reason
    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")
    result = await world.result(handle, within=timedelta(hours=3))
    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 1


@scenario
async def test_a_platform_that_was_away_is_told_of_the_refund_after_its_failure(world: World):
    world.carrier.plan = [REFUSED]
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "refunded")
    await world.forward(handle, minutes=10)

    assert world.notifier.results("new") == ["failed", "refunded"]
    assert world.notifier.results("legacy") == []
    world.notifier.down = set()
    await world.update(handle, "renotify")
    result = await world.result(handle, within=timedelta(minutes=5))

    assert world.notifier.results("legacy") == ["failed", "refunded"]
    assert result.notices["refunded"] == {"new": "acknowledged", "legacy": "acknowledged"}


@scenario
async def test_resolve_refunded_says_what_a_held_refund_waits_for(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.plan = [not_enough] * 3
    handle = await world.start()
    while not (await world.status(handle)).needs_operator:
        await world.forward(handle, seconds=1)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(handle, "resolve", outcome="refunded")

    assert "it waits for this: The merchant's balance is too low" in str(refused.value.cause)
    await world.result(handle, within=timedelta(hours=3))


@scenario
async def test_resolve_refunded_is_refused_while_the_provider_has_not_denied(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.settles_as = "PROCESSING"
    handle = await world.start()
    await world.until(handle, "refunding")

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(handle, "resolve", outcome="refunded")

    assert "has not definitely refused" in str(refused.value.cause)
    world.wechat.settles_as = "SUCCESS"
    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")
    await world.result(handle, within=timedelta(hours=1))


@scenario
async def test_an_order_of_a_merchant_that_is_not_configured_waits_for_an_operator(world: World):
    world.carrier.plan = [REFUSED]
    world.wechat.merchant_id = "another"
    handle = await world.start()
    await world.until(handle, "refunding")
    await world.forward(handle, minutes=5)
    status = await world.status(handle)
    assert status.needs_operator
    assert "merchant" in status.reason
    assert world.wechat.calls == []

    world.wechat.merchant_id = world.order.payment.merchant_id
    result = await world.result(handle, within=timedelta(hours=2))

    assert result.outcome == "refunded"


@scenario
async def test_an_unmatched_payment_is_paid_back_once_and_no_carrier_or_car_hears_of_it(world: World):
    """Also where the process dies between the book's word and the run: the sweep's second run goes on with it."""
    value = json.dumps(
        {
            "schema": "topup.unmatched-payment/1",
            "provider": "wechat",
            "merchant_id": world.order.payment.merchant_id,
            "out_trade_no": "another*number",
            "transaction_id": f"4200009{world.order.order_id}",
            "amount_fen": 4200,
            "currency": "CNY",
            "paid_at": "2023-08-21T18:33:55+08:00",
            "reason": "order_id",
        }
    ).encode()
    payment = parse_unmatched(None, value)
    await world.book.kept.keep([UnmatchedRecord(payment, value, None, 0, 0)], [], {})
    await world.book.unmatched.decide(
        "wechat",
        payment.transaction_id,
        lambda _payment, _value, _mac: True,
        lambda state, now: unmatched.refund(state, now, "li", "unknown to the shop"),
        kind="unmatched_refund",
        detail=lambda _: {},
    )
    world.order = (await world.book.read(payment.order_id)).order
    world.wechat.plan = [acts_then_silent]
    handle = await world.start(reopened=True)

    result = await world.result(handle, within=timedelta(minutes=30))

    assert result.outcome == "refunded"
    assert world.wechat.calls.count("REFUND") == 1
    assert [one.refund_number for one in world.wechat.requests] == [f"R{payment.order_id}"]
    assert (world.wechat.requests[0].amount_fen, world.wechat.requests[0].transaction_id) == (
        4200,
        payment.transaction_id,
    )
    assert not world.carrier.calls
    assert set(result.notices["refunded"].values()) == {"not_due"}
    assert not world.notifier.tries
