"""What the order book promises of its transactions, on both databases, over connections that reads and writes share."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from adapters.order_book.book import Claim, OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders.paid_order import PaidOrder
from orders.record import parse
from orders.state import OrderState
from runtime.clock import SystemClock

ORDERS_AT_ONCE = 30
TEMPLATE = (
    '{"schema":"topup.paid-order/1","order_id":"%(id)s","vehicle":{"vin":"LSGBC5342AG000001",'
    '"iccid":"89860321247550000015"},"package_id":"CT-DATA-10GB-30D","amount_fen":%(fen)d,"currency":"CNY",'
    '"payment":{"provider":"wechat","merchant_id":"1900000109","out_trade_no":"%(id)s","transaction_id":"4200%(pay)s",'
    '"paid_at":"2023-08-21T18:33:55+08:00"}}'
)


@pytest.fixture
async def book(url: str) -> AsyncGenerator[OrderBook]:
    opened = OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())
    await opened.migrate()
    yield opened
    await opened.close()


def order(number: int, *, fen: int = 9900, payment: int | None = None) -> PaidOrder:
    name = f"T{number:09d}"
    values = {"id": name, "fen": fen, "pay": f"{number if payment is None else payment:09d}"}
    return parse(name.encode(), (TEMPLATE % values).encode())


async def count_a_post(book: OrderBook, order_id: str) -> None:
    def rule(entry: OrderState) -> tuple[OrderState, None]:
        return replace(entry, posts=entry.posts + 1), None

    await book.decide(order_id, lambda record: rule(record.state), kind="test", detail=lambda _: {})


async def test_a_change_without_its_line_in_the_audit_trail_is_not_made(book: OrderBook) -> None:
    paid = order(1)
    await book.claim([paid])
    await asyncio.gather(
        *(book.read(paid.order_id) for _ in range(ORDERS_AT_ONCE))
    )  # every connection has been a reader's

    def fail(_: None) -> dict[str, str]:
        raise RuntimeError("the line can't be written")

    for _ in range(5):
        with pytest.raises(RuntimeError):
            await book.decide(
                paid.order_id, lambda record: (replace(record.state, posts=7), None), kind="test", detail=fail
            )
    assert (await book.read(paid.order_id)).state.posts == 0
    assert [event.kind for event in await book.events(paid.order_id)] == ["claimed"]


async def test_changes_of_one_order_that_come_at_once_all_count(book: OrderBook) -> None:
    paid = order(2)
    await book.claim([paid])
    await asyncio.gather(*(count_a_post(book, paid.order_id) for _ in range(ORDERS_AT_ONCE)))
    assert (await book.read(paid.order_id)).state.posts == ORDERS_AT_ONCE
    assert len(await book.events(paid.order_id)) == 1 + ORDERS_AT_ONCE


async def test_each_field_that_a_rule_changes_is_kept_and_no_other(book: OrderBook) -> None:
    paid, other = order(3), order(4)
    await book.claim([paid, other])
    now = SystemClock().now()

    def rule(entry: OrderState) -> tuple[OrderState, None]:
        return replace(entry, body=b"what is sent", completion_date=now, reason="why", attention="partial"), None

    before = (await book.read(paid.order_id)).state
    await book.decide(paid.order_id, lambda record: rule(record.state), kind="test", detail=lambda _: {})
    assert (await book.read(paid.order_id)).state == rule(before)[0]
    assert (await book.read(other.order_id)).state.body is None
    await book.decide(
        paid.order_id,
        lambda record: (replace(record.state, body=None, completion_date=None), None),
        kind="test",
        detail=lambda _: {},
    )
    after = (await book.read(paid.order_id)).state
    assert (after.body, after.completion_date, after.reason) == (None, None, "why")


async def test_a_batch_is_claimed_in_its_order_and_the_first_of_two_stands(book: OrderBook) -> None:
    there = order(5)
    await book.claim([there])
    batch = [
        there,
        order(6),
        order(6, fen=1),
        order(7, payment=6),
        *(order(number) for number in range(8, 120)),
        order(8),
    ]
    results = await book.claim(batch)
    assert [result.order_id for result in results] == [one.order_id for one in batch]
    outcomes = [result.outcome for result in results]
    assert outcomes[:4] == [Claim.UNSETTLED, Claim.NEW, Claim.CONFLICT, Claim.CONFLICT]
    assert set(outcomes[4:-1]) == {Claim.NEW}
    assert outcomes[-1] is Claim.UNSETTLED
    assert (await book.read(order(6).order_id)).order.amount_fen == order(6).amount_fen
    assert await book.first_pass_count() == 1 + 1 + 112


async def test_batches_that_come_at_once_claim_each_order_once(book: OrderBook) -> None:
    batch = [order(number) for number in range(200, 260)]
    all_results = await asyncio.gather(*(book.claim(batch[start:] + batch[:start]) for start in (0, 10, 30, 50)))
    new = [result.order_id for results in all_results for result in results if result.outcome is Claim.NEW]
    assert sorted(new) == [one.order_id for one in batch]
    for one in batch:
        assert [event.kind for event in await book.events(one.order_id)] == ["claimed"]


async def test_a_platform_that_has_acknowledged_keeps_that(book: OrderBook) -> None:
    paid = order(300)
    await book.claim([paid])
    await book.write_notices(paid.order_id, "delivered", {"new": ("acknowledged", "0x00"), "old": ("refused", "0x87")})
    await book.write_notices(paid.order_id, "delivered", {"new": ("given_up", "late"), "old": ("given_up", "late")})
    states = {notice.platform: (notice.state, notice.remark) for notice in await book.notices(paid.order_id)}
    assert states == {"new": ("acknowledged", "0x00"), "old": ("given_up", "late")}
    assert [event.kind for event in await book.events(paid.order_id)] == [
        "claimed",
        "notice_delivered",
        "notice_delivered",
    ]
