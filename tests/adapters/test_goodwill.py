"""Goodwill refunds in the order book: decided once, told in the order's own trail, never touching its end."""

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import goodwill as goodwill_rows
from adapters.order_book.book import OrderBook, UnknownOrder
from adapters.order_book.goodwill import UnknownGoodwill
from adapters.order_book.rows import ORDERS, Unstorable
from adapters.order_book.transactions import RowLocked
from adapters.order_book.worked_on import WorkedOn
from orders import carrier_rules, goodwill, refund_rules
from orders.goodwill import Word
from orders.outcomes import Completed, RefundAccepted, RefundConfirmed, RefundHeld
from orders.paid_order import PaidOrder
from runtime.clock import SystemClock
from tests.adapters.book_process import paid_order
from tests.orders.states import TIMES

CLOCK = SystemClock()
ORDER = paid_order("T20230821183406000001")


async def delivered(book: OrderBook) -> PaidOrder:
    order = ORDER
    await book.claim([order])
    answer = Completed(carrier_order_id="C1")
    for rule in (
        lambda stored: carrier_rules.record_response(stored.state, CLOCK.now(), answer),
        lambda stored: refund_rules.settle(stored.state, CLOCK.now(), TIMES),
    ):
        await book.decide(order.order_id, rule, kind="test", detail=lambda _: {})
    return order


async def say(book: OrderBook, operator: str, amount_fen: int, note: str = "ticket 4711") -> Word:
    rule = partial(goodwill.ask, amount_fen=amount_fen, operator=operator, note=note)
    while True:
        try:
            return await book.goodwill.ask(ORDER.order_id, rule, detail=lambda _: {"who": operator})
        except RowLocked:  # nothing was kept: a person gives the command again
            continue


async def pay(book: OrderBook, name: str) -> None:
    """Every step of a refund, as the activities take them."""
    confirmed = RefundConfirmed(provider_refund_id="P1")
    for rule in (
        lambda stored: refund_rules.start_refund(stored.state, CLOCK.now(), TIMES),
        lambda stored: refund_rules.authorize_refund(stored.state, CLOCK.now(), TIMES, 1),
        lambda stored: refund_rules.record_refund_response(stored.state, CLOCK.now(), TIMES, confirmed, of_number=1),
        lambda stored: refund_rules.settle(stored.state, CLOCK.now(), TIMES),
    ):
        await WorkedOn(book).decide(name, rule, kind="test", detail=lambda _: {})


async def test_whoever_says_it_at_once_there_is_one_refund_of_one_decision(book: OrderBook):
    order = await delivered(book)
    words = await asyncio.gather(*(say(book, operator, 500) for operator in ("li", "wang", "zhao") * 2))

    [one] = await book.goodwill.of(order.order_id)
    became = Counter(word.became for word in words)
    assert (one.amount_fen, one.is_approved, became["confirmed"]) == (500, True, 1)
    assert one.asked_by != one.approved_by
    await pay(book, one.name)
    third = ({"li", "wang", "zhao"} - {one.asked_by, one.approved_by}).pop()
    assert (await say(book, third, 500)).became == "proposed", "a third person's word is a wish of its own"
    assert [(await say(book, who, 500)).became for who in (one.asked_by, one.approved_by)] == ["repeated"] * 2
    assert [two.stands for two in await book.goodwill.of(order.order_id)] == ["refunded", "proposed"]


async def test_what_is_decided_at_once_is_together_never_above_what_was_paid(book: OrderBook):
    order = await delivered(book)
    for number in range(4):
        await say(book, "li", 4000, f"ticket {number}")
        word = await say(book, "wang", 4000, f"ticket {number}")
        if word.became == "confirmed" and word.goodwill is not None:
            await pay(book, word.goodwill.name)

    given = await book.goodwill.of(order.order_id)
    assert [one.stands for one in given] == ["refunded", "refunded"]
    assert sum(one.given_fen for one in given) == 8000


async def test_it_is_worked_on_by_its_name_and_the_order_keeps_its_end_and_a_whole_trail(book: OrderBook):
    order = await delivered(book)
    before = await book.read(order.order_id)
    await say(book, "li", 500)
    await say(book, "wang", 500)
    name = f"{order.order_id}/1"

    stored = await WorkedOn(book).read(name)
    assert (stored.order_id, stored.refund_fen, stored.order.amount_fen) == (name, 500, order.amount_fen)
    assert stored.order.payment == order.payment
    assert stored.order.vehicle != order.vehicle, "its refund needs no car"
    assert [one.order_id for one in await WorkedOn(book).unsettled(claimed_before=CLOCK.now() + timedelta(1))] == [name]
    assert await WorkedOn(book).unsettled(claimed_before=CLOCK.now() + timedelta(1), after=name) == []
    await WorkedOn(book).append(name, "noted", {"what": "test"})
    await pay(book, name)

    assert await WorkedOn(book).unsettled(claimed_before=CLOCK.now() + timedelta(1)) == []
    assert (await book.read(order.order_id)).state == before.state
    trail = await book.events(order.order_id)
    assert [line.kind for line in trail][-7:] == ["goodwill", "goodwill", "goodwill_noted", *["goodwill_test"] * 4]
    assert all(line.detail["goodwill"] == 1 for line in trail if line.kind.startswith("goodwill_"))
    assert (await book.verify_trails()).flaws == {}
    assert await book.counts() == {"delivered": 1}


async def test_a_book_that_ends_the_order_with_its_goodwill_is_found(book: OrderBook, monkeypatch: pytest.MonkeyPatch):
    right = goodwill_rows._write

    async def write(connection: AsyncConnection, one: goodwill.Goodwill, *, is_new: bool) -> None:
        await right(connection, one, is_new=is_new)
        if one.refund.outcome is not None:
            ends = update(ORDERS).where(ORDERS.c.order_id == one.order_id)
            await connection.execute(ends.values(status="refunded", outcome="refunded"))

    monkeypatch.setattr(goodwill_rows, "_write", write)

    with pytest.raises(AssertionError, match="refunded"):
        await test_it_is_worked_on_by_its_name_and_the_order_keeps_its_end_and_a_whole_trail(book)


async def test_nothing_works_on_what_one_person_alone_has_asked_for(book: OrderBook):
    order = await delivered(book)
    await say(book, "li", 500)

    for name in (f"{order.order_id}/1", f"{order.order_id}/2"):
        with pytest.raises(UnknownGoodwill):
            await WorkedOn(book).read(name)
        with pytest.raises(UnknownGoodwill):
            await pay(book, name)
    with pytest.raises(UnknownOrder):
        await WorkedOn(book).read("T9999999/1")


async def test_one_that_waits_for_a_person_is_counted_and_pushed_until_it_is_freed(book: OrderBook):
    order = await delivered(book)
    await say(book, "li", 500)
    assert (await book.waiting.look()).refunds == {}, "a wish is no refund"
    await say(book, "wang", 500)
    name = f"{order.order_id}/1"
    held = RefundHeld(code="NOT_ENOUGH", why="top it up")
    accepted = RefundAccepted(why="PROCESSING")
    for rule in (
        lambda stored: refund_rules.start_refund(stored.state, CLOCK.now(), TIMES),
        lambda stored: refund_rules.record_refund_response(stored.state, CLOCK.now(), TIMES, held, of_number=1),
    ):
        await WorkedOn(book).decide(name, rule, kind="test", detail=lambda _: {})

    waits = await book.waiting.look()
    assert (waits.need_a_person, waits.refunds, waits.unsettled) == ({"refund_held": 1}, {"10m": 1}, {})
    [told] = await book.pushes.due()
    assert (told.order_id, told.attention, told.status, told.reason) == (name, "refund_held", "refunding", "top it up")
    await book.pushes.told([told])
    assert await book.pushes.due() == []
    await WorkedOn(book).decide(
        name,
        lambda stored: refund_rules.record_refund_response(stored.state, CLOCK.now(), TIMES, accepted, of_number=1),
        kind="test",
        detail=lambda _: {},
    )

    [freed] = await book.pushes.due()
    assert (freed.order_id, freed.attention) == (name, "")
    assert (await book.waiting.look()).need_a_person == {}


async def test_a_text_that_no_database_holds_changes_nothing(book: OrderBook):
    order = await delivered(book)
    with pytest.raises(Unstorable):
        await say(book, "li", 500, "nul \x00")

    assert await book.goodwill.of(order.order_id) == []
    assert (await book.verify_trails()).flaws == {}
