"""Another bridge or worker on the same order book: `python -m tests.adapters.book_process URL claim|count PREFIX N`.

`claim` claims N orders, one by one; `count` counts one order's posts up N times. Prints what it got, as JSON.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book.book import OrderBook, StoredOrder
from adapters.order_book.engine import open_engine
from adapters.order_book.field_cipher import FieldCipher
from orders.paid_order import PaidOrder
from orders.state import OrderState
from runtime.clock import SystemClock

KEY = bytes(range(32))
VIN, ICCID, PHONE = "LSGBC5342AG000001", "89860321247550000015", "14400000001"
SECRETS = [text.encode() for text in (VIN, ICCID, PHONE, VIN[3:], ICCID[4:], PHONE[3:])]


def paid_order(name: str, *, transaction: str = "", **members: Any) -> PaidOrder:
    record = {
        "schema": "topup.paid-order/1",
        "order_id": name,
        "vehicle": {"vin": VIN, "iccid": ICCID, "msisdn": PHONE},
        "package_id": "CT-DATA-10GB-30D",
        "amount_fen": 9900,
        "currency": "CNY",
        "payment": {
            "provider": "wechat",
            "merchant_id": "1900000109",
            "out_trade_no": name,
            "transaction_id": transaction or f"42{name}",
            "paid_at": "2023-08-21T18:33:55+08:00",
        },
    }
    return PaidOrder.model_validate({**record, **members})


def open_book(url: str) -> OrderBook:
    return OrderBook.open(url, FieldCipher(KEY), SystemClock())


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncGenerator[AsyncConnection]:
    """A transaction beside the book."""
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def count_up(book: OrderBook, order_id: str) -> int:
    """One more POST, by a rule; the count before it."""

    def rule(record: StoredOrder) -> tuple[OrderState, int]:
        return replace(record.state, posts=record.state.posts + 1), record.state.posts

    return await book.decide(order_id, rule, kind="test", detail=lambda posts: {"posts": posts})


async def main(url: str, what: str, prefix: str, times: int) -> list[Any]:
    book = open_book(url)
    if what == "claim":
        results = [(await book.claim([paid_order(f"{prefix}{number:04}")]))[0] for number in range(times)]
        return [result.outcome for result in results]
    return [await count_up(book, prefix) for _ in range(times)]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))))  # noqa: T201 - what the test reads
