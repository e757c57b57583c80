"""Who claims an order or a payment gets it once, on both databases, with other bridges beside it."""

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import Any

import pytest

from adapters.order_book.book import Claim, OrderBook, UnknownOrder
from orders.errors import Unavailable
from tests.adapters.book_process import ICCID, SECRETS, VIN, open_book, paid_order


async def test_a_claim_is_new_once_then_unsettled_then_settled(book: OrderBook):
    order = paid_order("T00001")

    assert (await book.claim([order]))[0].outcome is Claim.NEW
    assert (await book.claim([order]))[0].outcome is Claim.UNSETTLED
    await book.decide(
        "T00001",
        lambda record: (replace(record.state, outcome="delivered"), None),
        kind="settle",
        detail=lambda _: {},
    )
    assert (await book.claim([order]))[0].outcome is Claim.SETTLED


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 9901},
        {"package_id": "CT-DATA-1GB-1D"},
        {"vehicle": {"vin": VIN, "iccid": ICCID}},
        {"payment": {**paid_order("T00001").payment.model_dump(), "paid_at": "2023-08-21T18:33:56+08:00"}},
    ],
    ids=["amount", "package", "phone left out", "another instant"],
)
async def test_other_content_under_an_order_id_is_a_conflict_and_the_first_stands(
    book: OrderBook, change: dict[str, Any]
):
    first = paid_order("T00001")
    await book.claim([first])

    claimed = (await book.claim([paid_order("T00001", **change)]))[0]

    assert claimed.outcome is Claim.CONFLICT
    assert (await book.read("T00001")).order == first
    assert not any(secret.decode() in claimed.conflict for secret in SECRETS)


async def test_the_same_instant_written_otherwise_is_a_duplicate(book: OrderBook):
    await book.claim([paid_order("T00001")])
    payment = paid_order("T00001").payment.model_copy(update={"paid_at": "2023-08-21T10:33:55.000Z"})

    claimed = await book.claim([paid_order("T00001").model_copy(update={"payment": payment})])

    assert claimed[0].outcome is Claim.UNSETTLED


async def test_a_second_order_with_an_accepted_payment_is_a_conflict_that_names_the_first(book: OrderBook):
    await book.claim([paid_order("T00001", transaction="4200X")])

    claimed = (await book.claim([paid_order("T00002", transaction="4200X")]))[0]

    assert claimed.outcome is Claim.CONFLICT
    assert "T00001" in claimed.conflict
    with pytest.raises(UnknownOrder, match="T00002"):
        await book.read("T00002")


async def test_of_two_that_conflict_in_one_batch_the_lower_one_stands(book: OrderBook):
    batch = [
        paid_order("T00009", transaction="4200X"),
        paid_order("T00001", transaction="4200X"),  # sorts before, comes after
        paid_order("T00009", transaction="4200X", amount_fen=1),
        paid_order("T00009", transaction="4200X"),
        paid_order("T00002"),
    ]

    claims = await book.claim(batch)

    assert [claim.outcome for claim in claims] == [
        Claim.NEW,
        Claim.CONFLICT,
        Claim.CONFLICT,
        Claim.UNSETTLED,
        Claim.NEW,
    ]
    assert (await book.read("T00009")).order == batch[0]


async def test_one_record_that_comes_twice_in_a_batch_starts_one_order(book: OrderBook):
    order = paid_order("T00001")

    claims = await book.claim([order, order, paid_order("T00001")])

    assert [claim.outcome for claim in claims] == [Claim.NEW, Claim.UNSETTLED, Claim.UNSETTLED]


async def test_a_conflict_by_payment_with_a_record_that_itself_is_a_conflict_is_none(book: OrderBook):
    """Only accepted orders count: what was refused takes no payment with it."""
    await book.claim([paid_order("T00001")])

    claims = await book.claim([paid_order("T00001", transaction="4200X"), paid_order("T00002", transaction="4200X")])

    assert [claim.outcome for claim in claims] == [Claim.CONFLICT, Claim.NEW]


async def test_an_empty_batch_asks_nothing_of_the_database():
    assert await open_book("postgresql://nobody:x@127.0.0.1:1/none").claim([]) == []


async def test_two_bridges_at_once_give_each_order_to_exactly_one(url: str, book: OrderBook):
    chance = random.Random(1)
    orders = [paid_order(f"T{number:05}") for number in range(60)]
    bridges = [open_book(url) for _ in range(3)]

    async def bridge(one: OrderBook) -> list[str]:
        mine: list[str] = []
        for _ in range(6):
            batch = chance.sample(orders, len(orders))
            mine += [claim.order_id for claim in await one.claim(batch) if claim.outcome is Claim.NEW]
        return mine

    new = [name for mine in await asyncio.gather(*map(bridge, bridges)) for name in mine]

    assert sorted(new) == [order.order_id for order in orders]
    for one in bridges:
        await one.close()


async def test_two_bridges_at_once_give_each_payment_to_exactly_one(url: str, book: OrderBook):
    """Crosswise, so that they can meet as a deadlock: that is trouble for a moment, and the same batch comes again."""
    other = open_book(url)
    for number in range(10):
        first = [
            paid_order(f"A{number:05}", transaction=f"P{number}"),
            paid_order(f"B{number:05}", transaction=f"Q{number}"),
        ]
        second = [
            paid_order(f"C{number:05}", transaction=f"Q{number}"),
            paid_order(f"D{number:05}", transaction=f"P{number}"),
        ]
        claims = await asyncio.gather(_insist(book, first), _insist(other, second))
        names = {name for claimed in claims for name, outcome in claimed.items() if outcome in ("new", "unsettled")}
        assert len(names) == 2
        assert len(names & {f"A{number:05}", f"D{number:05}"}) == 1
    await other.close()


async def _insist(book: OrderBook, batch: list[Any]) -> dict[str, str]:
    while True:
        with contextlib.suppress(Unavailable):
            return {claim.order_id: claim.outcome for claim in await book.claim(batch)}
