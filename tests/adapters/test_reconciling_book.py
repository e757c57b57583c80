"""Differences in the order book: what a run makes of an old reading takes nothing back that was written meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.reconciling import UnknownDifference
from orders import four_eyes
from reconciliation.differences import Difference

AT = datetime(2026, 11, 28, 9, tzinfo=UTC)
OPEN = Difference(
    id="payment:wechat:42T1", kind="payment_without_order", source="wechat", day="2026-11-27", why="in none",
    transaction_id="42T1", order_id="", book_fen=None, outside_fen=9900, state="open", put_as="", first_seen=AT,
    opened_at=AT, closed_at=None, operator="", note="",
)  # fmt: skip


async def stands(book: OrderBook) -> Difference:
    [one] = await book.reconciliation().differences()
    return one


@pytest.mark.parametrize("stale", [OPEN, replace(OPEN, state="closed_itself", closed_at=AT)], ids=lambda one: one.state)
async def test_a_run_that_was_frozen_takes_no_persons_word_back(book: OrderBook, stale: Difference):
    differences = book.reconciliation()
    await differences.write([OPEN])
    resolved = await differences.resolve(OPEN.id, operator="li", note="ticket 4711")

    await differences.write([stale])

    assert await stands(book) == resolved


async def test_another_amount_opens_again_what_was_resolved(book: OrderBook):
    differences = book.reconciliation()
    await differences.write([OPEN])
    await differences.resolve(OPEN.id, operator="li", note="ticket 4711")

    await differences.write([replace(OPEN, outside_fen=1)])

    assert ((await stands(book)).state, (await stands(book)).outside_fen) == ("open", 1)


async def test_a_run_that_was_frozen_does_not_forget_that_a_payment_was_put_to_kafka(book: OrderBook):
    differences = book.reconciliation()
    await differences.write([OPEN])
    await differences.note_put(OPEN.id, "order")

    await differences.write([replace(OPEN, why="seen again")])

    assert ((await stands(book)).put_as, (await stands(book)).why) == ("order", "seen again")


async def test_a_difference_is_closed_by_two_persons_who_say_it_of_the_same_amounts(book: OrderBook):
    """One person alone, with a note, took what is missing out of sight."""
    differences = book.reconciliation()
    await differences.write([OPEN])

    async def say(operator: str) -> Difference:
        return await differences.resolve(OPEN.id, operator=operator, note=f"{operator}'s", two_persons=True)

    for operator in ("li", "ＬＩ"):
        proposed = await say(operator)
        assert (proposed.state, proposed.operator) == ("open", "")
        assert proposed.proposal == "resolved payment_without_order nothing against 9900"
    await differences.write([OPEN])
    assert (await stands(book)).proposed_by == "ＬＩ", "a run takes no proposal away"

    await differences.write([replace(OPEN, outside_fen=990000)])
    assert (await say("wang")).state == "open", "what was proposed of 99 yuan is no word about 9 900"
    assert (await say("li")).operator == "wang and li"

    resolved = await stands(book)
    assert (resolved.state, resolved.note) == ("resolved", "wang's; li's")
    assert four_eyes.open_proposal(resolved, AT) == ""
    with pytest.raises(UnknownDifference, match="is resolved already"):
        await say("chen")
