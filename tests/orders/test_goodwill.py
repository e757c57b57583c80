"""Goodwill: two persons decide each once, all together is never more than was paid, and no two numbers are the same."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders import goodwill, refund_rules
from orders.four_eyes import STANDS_FOR
from orders.goodwill import Delivered, Goodwill, Word
from orders.identities import (
    goodwill_name,
    goodwill_of,
    is_order_id,
    is_our_refund,
    order_id_of,
    order_ids_of_refund,
    refund_number,
    workflow_id,
)
from orders.next_step import QueryRefund, StartRefund, next_step
from orders.outcomes import RefundConfirmed, RefundDenied, RefundUnknown
from orders.state import CarrierTimes

ORDER = "T20230821183406000001"
NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)
TIMES = CarrierTimes(timedelta(seconds=60), timedelta(seconds=15), timedelta(minutes=5))
DELIVERED = Delivered(ORDER, "delivered", "delivered", 9900)


class Book:
    """The rows of one order, as the order book keeps them."""

    def __init__(self, order: Delivered = DELIVERED) -> None:
        self.order = order
        self.given: list[Goodwill] = []
        self.now = NOW

    def say(self, operator: str, amount_fen: int, note: str = "ticket 4711") -> Word:
        word = goodwill.ask(self.order, self.given, self.now, amount_fen=amount_fen, operator=operator, note=note)
        if word.goodwill is not None:
            kept = [one for one in self.given if one.number != word.goodwill.number]
            self.given = sorted([*kept, word.goodwill], key=lambda one: one.number)
        return word

    def change(self, **refund: Any) -> None:
        last = self.given[-1]
        self.given[-1] = replace(last, refund=replace(last.refund, **refund))

    def decide(self, amount_fen: int, note: str) -> Word:
        self.say("li", amount_fen, note)
        return self.say("wang", amount_fen, note)

    def pay(self) -> None:
        """The provider has paid the last one."""
        self.change(refund_sequence=1, refund_confirmed_at=self.now, provider_refund_id="P1")
        self.change(outcome="refunded", settled_at=self.now)


def test_nothing_follows_from_one_persons_word_however_often_or_wide_it_is_written():
    book = Book()
    said = [book.say(name, 500).became for name in ("li", "li", "LI", " ｌｉ ", "Li")]

    assert said == ["proposed"] * 5
    assert [(one.number, one.is_approved, one.given_fen) for one in book.given] == [(1, False, 0)]


def test_the_second_persons_same_word_decides_it_and_it_begins_like_a_refused_order():
    book = Book()
    first, second = book.say("li", 500, "ticket 4711"), book.say("wang", 500, "agreed")

    assert (first.became, second.became) == ("proposed", "confirmed")
    assert "li proposes 500 fen until 2026-11-29 11:00 UTC" in first.says
    [one] = book.given
    assert (one.asked_by, one.asked_note, one.approved_by, one.approved_note) == ("li", "ticket 4711", "wang", "agreed")
    assert one.refund == replace(one.refund, order_id=f"{ORDER}/1", carrier_code="GOODWILL", refund_sequence=0)
    assert isinstance(next_step(one.refund, NOW, TIMES), StartRefund)
    assert one.stands == "refunding"


@pytest.mark.parametrize("amount_fen", [499, 501])
def test_another_amount_is_another_proposal_in_its_place(amount_fen: int):
    book = Book()
    book.say("li", 500)
    word = book.say("wang", amount_fen)

    assert (word.became, word.replaced) == ("proposed", "500 fen by li")
    assert [(one.number, one.amount_fen, one.asked_by) for one in book.given] == [(1, amount_fen, "wang")]


def test_a_proposal_stands_for_an_hour():
    for late, became in ((timedelta(0), "confirmed"), (timedelta(microseconds=1), "proposed")):
        book = Book()
        book.say("li", 500)
        book.now += STANDS_FOR + late
        assert book.say("wang", 500).became == became


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=2), timedelta(days=400)])
def test_a_word_that_is_said_again_is_the_same_refund_however_late_and_whoever_repeats_first(later: timedelta):
    for repeated in itertools.product(("li", "wang"), repeat=3):
        book = Book()
        book.decide(500, "ticket 4711")
        book.pay()
        book.now += later
        assert [book.say(operator, 500).became for operator in repeated] == ["repeated"] * 3
        assert [one.stands for one in book.given] == ["refunded"]


def test_another_reason_is_another_refund_once_the_one_before_has_ended():
    book = Book()
    book.decide(500, "ticket 4711")

    under_way = book.say("li", 500, "ticket 4712")
    book.pay()

    assert under_way.became == "refused"
    assert "is under way" in under_way.says
    assert book.decide(500, "ticket 4712").became == "confirmed"
    assert [one.number for one in book.given] == [1, 2]


def test_all_together_is_at_most_what_was_paid_and_what_was_given_up_does_not_count():
    book = Book()
    for amount_fen, left in ((9000, 900), (900, 0)):
        assert book.decide(amount_fen, f"ticket {amount_fen}").became == "confirmed"
        book.pay()
        refused = book.say("li", left + 1, "more")
        assert (refused.became, refused.goodwill) == ("refused", None)
        assert f"of which {left} fen can still be given back" in refused.says
    book.change(paid_another_way="given up: li: why", provider_refund_id="given up: li: why")

    assert [one.stands for one in book.given] == ["refunded", "given_up"]
    assert book.decide(900, "once more").became == "confirmed"


@pytest.mark.parametrize("amount_fen", [0, -1, 9901, 10**18])
def test_no_amount_that_none_can_be_is_taken(amount_fen: int):
    assert Book().say("li", amount_fen).became == "refused"


@pytest.mark.parametrize("status", ["placing", "in_doubt", "refunding", "parked", "refunded"])
def test_goodwill_is_given_on_a_delivered_order_alone(status: Any):
    book = Book(Delivered(ORDER, status, "refunded" if status == "refunded" else None, 9900))

    word = book.say("li", 500)

    assert (word.became, book.given) == ("refused", [])
    assert f"is {status}, not delivered" in word.says


def test_it_is_given_up_only_after_a_definite_refusal_and_only_the_providers_last_word_ends_it():
    book = Book()
    book.decide(500, "ticket 4711")
    [one] = book.given
    started, _ = refund_rules.start_refund(one.refund, NOW, TIMES)
    assert goodwill.give_up(started, "li", "why")[1] != ""
    sent, _ = refund_rules.authorize_refund(started, NOW, TIMES, 1)
    assert goodwill.give_up(sent, "li", "why") == (sent, goodwill.give_up(sent, "li", "why")[1])
    denied = RefundDenied(code="ACCOUNT", why="The account is gone.")
    refused, _ = refund_rules.record_refund_response(sent, NOW, TIMES, denied, of_number=1)

    given_up, refusal = goodwill.give_up(refused, "li", "why")

    assert refusal == ""
    assert isinstance(next_step(given_up, NOW, TIMES), QueryRefund)
    later = NOW + timedelta(hours=1)
    for answer, stands in ((RefundUnknown(), "given_up"), (RefundConfirmed(provider_refund_id="P1"), "refunded")):
        ended, _ = refund_rules.record_refund_response(given_up, later, TIMES, answer, of_number=1)
        settled, _ = refund_rules.settle(ended, later, TIMES)
        assert replace(one, refund=settled).stands == stands
        assert goodwill.give_up(settled, "li", "again")[1] != ""


def orders() -> Sequence[str]:
    """Order IDs that look like parts of numbers, too."""
    return ("T20230821", "1-T20230821", "G1-1-T20230821", "T20230821-2", "1-1-T2023", "R20230821", "A" * 32)


def test_refund_numbers_of_orders_and_goodwill_are_never_the_same_and_name_whose_they_are():
    names = [goodwill_name(order, number) for order in orders() for number in (1, 2, 11, 999)]
    numbers = [refund_number(name, sequence) for name in names for sequence in (1, 2, 11)]
    of_orders = {refund_number(order, sequence) for order in orders() for sequence in (1, 2, 11)}

    assert len(set(numbers)) == len(numbers)
    assert not of_orders & set(numbers)
    assert max(map(len, numbers)) <= 64, "the providers take no longer one"
    for name in names:
        assert [order_ids_of_refund(refund_number(name, sequence)) for sequence in (1, 11)] == [(name,)] * 2
    assert order_ids_of_refund("G0-1-T20230821") == order_ids_of_refund("G1-1-T/1") == ()


def test_a_name_is_no_order_id_and_its_run_has_an_id_of_its_own():
    for order in orders():
        name = goodwill_name(order, 12)
        assert (goodwill_of(name), is_order_id(name), goodwill_of(order)) == ((order, 12), False, None)
        assert workflow_id(name) == f"goodwill/{order}/12"
        assert order_id_of(workflow_id(name)) == name
    for wrong in ("T20230821/0", "T20230821/01", "T20230821/", "T20230821/1000", "T/", "T20230821/1/1"):
        assert goodwill_of(wrong) is None
        with pytest.raises(ValueError, match="no workflow ID"):
            order_id_of(f"goodwill/{wrong}")


def test_a_notice_of_a_goodwill_refund_is_ours_on_its_own_orders_payment_alone():
    number = refund_number(goodwill_name(ORDER, 1), 1)

    assert is_our_refund(number, provider="wechat", out_trade_no=ORDER, transaction_id="42")
    assert not is_our_refund(number, provider="wechat", out_trade_no="T20230821183406000002", transaction_id="42")
