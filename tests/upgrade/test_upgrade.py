"""Today's code goes on with what the released version wrote, and leaves what that version goes on with.

Forwards: its book, migrated. Back: its rows in today's schema, as its processes write them while they are replaced.
Its runs are held by `tests/workflows/test_replays.py`.
"""

import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.order_book.book import Claim, OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders.next_step import next_step
from runtime.clock import SystemClock
from tests.upgrade import BASELINE, PII_KEY, STATES, order_id
from tests.upgrade.__main__ import TIMES, baseline_order

NOW = datetime(2026, 11, 1, 18, tzinfo=UTC)
NEXT = {
    "claimed": "Submit",
    "in_doubt": "QueryCarrier",
    "refused": "StartRefund",
    "refund_sent": "QueryRefund",
    "delivered": "Done",
    "refunded": "Done",
    "parked": "QueryCarrier",
}


def opened(path: Path) -> OrderBook:
    return OrderBook.open(f"sqlite:///{path}", FieldCipher(PII_KEY), SystemClock())


async def forwards(path: Path) -> OrderBook:
    """The released version's book, with today's migrations."""
    with sqlite3.connect(path) as connection:
        connection.executescript(BASELINE.read_text())
    book = opened(path)
    await book.migrate()
    return book


async def back(path: Path) -> OrderBook:
    """Today's schema, with what the released version writes into it."""
    book = opened(path)
    await book.migrate()
    inserts = re.findall(
        r"^INSERT INTO (?!alembic_version)[^\n]*(?:\n(?!INSERT|CREATE)[^\n]*)*", BASELINE.read_text(), re.MULTILINE
    )
    assert len(inserts) > len(STATES)
    with sqlite3.connect(path) as connection:
        connection.executescript("\n".join(inserts))
    return book


@pytest.fixture(params=[forwards, back], ids=["forwards", "back"])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OrderBook]:
    book = await request.param(tmp_path / "book.db")
    yield book
    await book.close()


async def test_each_order_in_flight_goes_on_where_it_stood(book: OrderBook):
    found = {state: (await book.read(order_id(state))).state for state in STATES}
    assert {state: type(next_step(one, NOW, TIMES)).__name__ for state, one in found.items()} == NEXT
    assert (found["in_doubt"].posts, found["in_doubt"].body) == (1, b'{"externalId": "recorded"}')
    assert (found["refund_sent"].refund_sequence, bool(found["refund_sent"].refund_sent_at)) == (1, True)


async def test_vehicles_are_read_trails_are_whole_and_the_schema_is_the_newest(book: OrderBook):
    for state in STATES:
        stored = await book.read(order_id(state))
        assert stored.order.vehicle == baseline_order(state).vehicle
    read = await book.verify_trails()
    assert dict(read.flaws) == {}
    assert sorted(read.heads) == [order_id(state) for state in STATES]
    looked = await book.look()
    assert looked.version == looked.newest_version


async def test_a_record_that_comes_again_is_the_same_order_and_another_one_a_conflict(book: OrderBook):
    again = await book.claim([baseline_order(state) for state in STATES])
    ended = {"delivered", "refunded"}
    assert [one.outcome for one in again] == [Claim.SETTLED if state in ended else Claim.UNSETTLED for state in STATES]
    other = baseline_order("claimed").model_copy(update={"amount_fen": 1})
    assert [one.outcome for one in await book.claim([other])] == [Claim.CONFLICT]


async def test_an_order_in_flight_can_be_decided_on(book: OrderBook):
    await book.decide(order_id("in_doubt"), lambda stored: (stored.state, None), kind="looked", detail=lambda _: {})
    assert (await book.events(order_id("in_doubt")))[-1].kind == "looked"
    assert not (await book.verify_trails()).flaws
