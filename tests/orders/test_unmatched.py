"""A payment without an order: read strictly, ended once, and never both adopted and refunded."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders import four_eyes, unmatched
from orders.four_eyes import Confirmed, Proposed
from orders.identities import adopted_order_id, is_order_id, refund_number
from orders.next_step import StartRefund, next_step
from orders.record import PoisonRecord, parse
from orders.state import CarrierTimes
from orders.unmatched import UnmatchedPayment, UnmatchedState, begin_refunded, parse_unmatched

NOW = datetime(2026, 11, 28, 10, tzinfo=UTC)
TIMES = CarrierTimes(timedelta(seconds=60), timedelta(seconds=15), timedelta(minutes=5))
VEHICLE = {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"}

Rule = Callable[[UnmatchedState, datetime, str, str], tuple[UnmatchedState, str]]
RULES: list[Rule] = [unmatched.adopt, unmatched.refund, unmatched.settle]


def members(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "topup.unmatched-payment/1",
        "provider": "wechat",
        "merchant_id": "1900000109",
        "out_trade_no": "T20230821183406000001",
        "transaction_id": "4200001923202308213518640001",
        "amount_fen": 9900,
        "currency": "CNY",
        "paid_at": "2023-08-21T18:33:55+08:00",
        "reason": "lookup",
        **changes,
    }


def payment(**changes: Any) -> UnmatchedPayment:
    return parse_unmatched(None, json.dumps(members(**changes)).encode())


def state(**changes: Any) -> UnmatchedState:
    return replace(UnmatchedState(payment(), signed=True), **changes)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"\xff",
        b'{"a": NaN}',
        b" " * 70_000,
        json.dumps(members(schema="topup.paid-order/1")).encode(),
        json.dumps(members(amount_fen=99.0)).encode(),
        json.dumps(members(amount_fen=10**18)).encode(),
        json.dumps(members(provider="bank")).encode(),
        json.dumps(members(transaction_id="a b")).encode(),
        json.dumps(members(paid_at="today")).encode(),
        json.dumps(members(reason="other")).encode(),
    ],
)
def test_what_is_no_unmatched_payment_is_poison(value: bytes | None):
    with pytest.raises(PoisonRecord):
        parse_unmatched(None, value)


def test_a_key_that_is_another_order_number_is_poison():
    value = json.dumps(members()).encode()
    assert parse_unmatched(b"T20230821183406000001", value) == payment()
    with pytest.raises(PoisonRecord, match="key"):
        parse_unmatched(b"T20230821183406000002", value)


def test_the_order_id_of_an_adoption_is_the_order_number_where_that_is_one():
    assert payment().order_id == "T20230821183406000001"
    strange = payment(out_trade_no="a*b")
    assert strange.order_id == "Ua00988adcea7e687d37e158c"
    assert is_order_id(strange.order_id)
    assert strange.order_id == adopted_order_id("wechat", "another*one", strange.transaction_id)
    assert refund_number(strange.order_id, 1) == f"R{strange.order_id}"


def test_its_paid_order_passes_the_rules_of_every_other():
    order = payment().paid_order(VEHICLE, "CT-DATA-10GB-30D")
    parsed = parse(b"T20230821183406000001", json.dumps(order).encode())
    assert parsed.amount_fen == 9900
    assert parsed.payment.transaction_id == "4200001923202308213518640001"


@pytest.mark.parametrize("words", list(itertools.product(RULES, repeat=3)))
def test_of_all_words_in_any_order_the_first_stands(words: tuple[Rule, ...]):
    now = state()
    for number, rule in enumerate(words):
        after, refusal = rule(now, NOW, f"operator {number}", "why")
        assert bool(refusal) == (number > 0 and (rule is not words[0] or rule is unmatched.settle))
        if number:
            assert after == now
        now = after
    assert now.ended_by == "operator 0"


def test_a_payment_that_is_an_order_is_neither_adopted_nor_refunded_nor_settled():
    for rule in RULES:
        after, refusal = rule(state(order_id="T20230821183406000001"), NOW, "li", "why")
        assert not after.ending
        assert "order T20230821183406000001" in refusal


def test_a_second_payment_of_one_order_number_moves_no_money_from_here():
    """Its refund number would be that of the first payment's order."""
    for rule in (unmatched.adopt, unmatched.refund):
        after, refusal = rule(state(taken=True), NOW, "li", "why")
        assert not after.ending
        assert "paid a second time" in refusal
    assert unmatched.settle(state(taken=True), NOW, "li", "refunded by hand")[0].ending == "settled"


def test_nothing_moves_on_a_record_that_nobody_with_a_key_wrote():
    for rule in (unmatched.adopt, unmatched.refund):
        after, refusal = rule(state(signed=False), NOW, "li", "why")
        assert not after.ending
        assert "TOPUP_RECORD_KEY" in refusal
    assert unmatched.settle(state(signed=False), NOW, "li", "forged")[0].ending == "settled"


@pytest.mark.parametrize("changes", [{"currency": "USD"}, {"amount_fen": 0}, {"amount_fen": 200_000_000}])
def test_what_no_order_can_hold_is_refunded_elsewhere(changes: dict[str, Any]):
    after, refusal = unmatched.refund(UnmatchedState(payment(**changes), signed=True), NOW, "li", "why")
    assert not after.ending
    assert "merchant platform" in refusal


def test_a_refund_without_a_delivery_begins_as_a_refused_order():
    order = payment().without_delivery()
    assert order is not None
    begun = begin_refunded(order, NOW)
    assert begun.status == "refunding"
    assert not begun.posts
    assert isinstance(next_step(begun, NOW, TIMES), StartRefund)


def test_it_is_open_until_it_is_ended_or_has_become_an_order():
    assert state().is_open
    assert state(ending="adopted").is_open, "its record may have got lost on the way: adopt it again"
    for ended in (state(ending="adopted", order_id="T1"), state(ending="settled"), state(ending="refund")):
        assert not ended.is_open
    assert not state(order_id="T20230821183406000001").is_open


def test_two_persons_agree_on_it_as_on_an_orders_refund():
    proposed, first = four_eyes.propose(state(), NOW, four_eyes.REFUND_NOW, "li", "unknown")
    assert isinstance(first, Proposed)
    _, again = four_eyes.propose(proposed, NOW, four_eyes.REFUND_NOW, " LI ", "unknown")
    assert isinstance(again, Proposed)
    _, second = four_eyes.propose(proposed, NOW, four_eyes.REFUND_NOW, "wang", "ticket 4711")
    assert isinstance(second, Confirmed)
    assert second.note == "unknown; ticket 4711"
