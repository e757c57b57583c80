"""The questions that are asked all day find their rows by an index, however many orders the book has."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from adapters.order_book.book import OrderBook, StoredOrder
from orders.state import OrderState
from tests.adapters.test_order_book_transactions import order

GROWING = ("orders", "order_events")


def posted(stored: StoredOrder) -> tuple[OrderState, None]:
    return replace(stored.state, posts=stored.state.posts + 1), None


QUESTIONS: dict[str, Callable[[OrderBook], Awaitable[object]]] = {
    "claim": lambda book: book.claim([order(1), order(2)]),
    "admission": lambda book: book.first_pass_count(),
    "known": lambda book: book.known([order(1).order_id]),
    "read": lambda book: book.read_with_notices(order(1).order_id),
    "change": lambda book: book.decide(order(1).order_id, posted, kind="test", detail=lambda _: {}),
    "notices": lambda book: book.write_notices(order(1).order_id, "delivered", {"cars": ("acknowledged", "")}),
    "sweep": lambda book: book.unsettled(claimed_before=datetime.now(UTC), after="", limit=100),
    "vehicle": lambda book: book.filed_under("vehicle", order(1).vehicle.vin),
    "payment": lambda book: book.referred_to(order(1).payment.transaction_id),
    "trail": lambda book: book.events(order(1).order_id),
}


@contextmanager
def statements(book: OrderBook) -> Iterator[list[tuple[str, Any]]]:
    """What it sends within, and with which values."""
    engine = vars(vars(book)["_transaction"])["_writing"].sync_engine
    sent: list[tuple[str, Any]] = []

    def note(*about: Any) -> None:
        _connection, _cursor, statement, values, _context, many = about
        sent.append((statement, values[0] if many else values))

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


async def plan(book: OrderBook, statement: str, values: Any) -> str:
    """As the database would run it; PostgreSQL scans a whole table only where it has no other way."""
    transaction = vars(book)["_transaction"]
    async with transaction(write=True) as connection:
        if transaction.sqlite:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            return "\n".join(str(row[3]) for row in rows)
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
        return "\n".join(str(row[0]) for row in rows)


def reads_whole(explained: str) -> list[str]:
    """The growing tables that a plan reads from end to end."""
    lines = [line.strip(" ->") for line in explained.splitlines()]
    ways = [way for table in GROWING for way in (f"SCAN {table}", f"Seq Scan on {table}")]
    return [line for line in lines if any(line == way or line.startswith(f"{way} (") for way in ways)]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUESTIONS)
async def test_no_question_of_the_day_reads_a_whole_table(book: OrderBook, name: str) -> None:
    await book.claim([order(1)])
    with statements(book) as sent:
        await QUESTIONS[name](book)
    asked = [(statement, values) for statement, values in sent if statement.startswith(("SELECT", "UPDATE"))]
    assert asked
    for statement, values in asked:
        assert reads_whole(await plan(book, statement, values)) == [], statement
