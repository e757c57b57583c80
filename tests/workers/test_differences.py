"""What `/metrics` say of differences of money: each while it is open, whoever found it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.reconciling import ReconciliationBook
from reconciliation.differences import KINDS, Difference
from runtime.clock import SystemClock
from runtime.metrics import Metrics
from tests.limits import WAIT_SECONDS
from workers.differences import count_differences

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
TWICE = Difference(
    id="order:T00001",
    kind="refunded_twice",
    source="wechat",
    day="2026-11-22",
    why="Two refunds of one payment.",
    transaction_id="42001",
    order_id="T00001",
    book_fen=-9900,
    outside_fen=-19800,
    state="open",
    put_as="",
    first_seen=AT,
    opened_at=AT,
    closed_at=None,
    operator="",
    note="",
)


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[OrderBook]:
    opened = OrderBook.open(f"sqlite:///{tmp_path / 'book.db'}", FieldCipher(bytes(32)), SystemClock())
    await opened.migrate()
    yield opened
    await opened.close()


async def counted(differences: ReconciliationBook) -> dict[str, float]:
    """The gauge of a worker that has just begun."""
    metrics = Metrics()
    gauge = metrics.gauge("topup_reconcile_differences")

    def shown() -> dict[str, float]:
        return {sample.labels["kind"]: sample.value for one in gauge.collect() for sample in one.samples}

    counting = asyncio.create_task(count_differences(differences, metrics))
    async with asyncio.timeout(WAIT_SECONDS):
        while len(shown()) < len(KINDS):
            await asyncio.sleep(0.01)
    counting.cancel()
    return {kind: value for kind, value in shown().items() if value}


async def test_a_difference_is_counted_until_a_person_has_closed_it(book: OrderBook):
    differences = book.reconciliation()
    assert await counted(differences) == {}

    await differences.write([TWICE])
    assert await counted(differences) == {"refunded_twice": 1}

    await differences.resolve(TWICE.id, operator="li", note="taken back, ticket 4711")
    assert await counted(differences) == {}
