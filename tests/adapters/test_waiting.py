"""What waits, in the book: counted while its cause is there, and no longer; looked at by one process at a time."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.order_book.book import OrderBook, StoredOrder
from adapters.order_book.duties import LEASE_SECONDS
from adapters.order_book.field_cipher import FieldCipher
from orders.state import OrderState
from runtime.metrics import Metrics
from tests.adapters.book_process import KEY, paid_order
from workers.waiting import DUTY, Watch

PLATFORMS = ("new", "old")


class MovedClock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def book(url: str, clock: MovedClock) -> AsyncGenerator[OrderBook]:
    opened = OrderBook.open(url, FieldCipher(KEY), clock)
    await opened.migrate()
    yield opened
    await opened.close()


async def becomes(book: OrderBook, order_id: str, **changes: Any) -> None:
    def rule(stored: StoredOrder) -> tuple[OrderState, None]:
        return replace(stored.state, **changes), None

    await book.decide(order_id, rule, kind="test", detail=lambda _: {})


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    """The series of a gauge, by their one label."""
    samples = [sample for one in metrics.gauge(name).collect() for sample in one.samples]
    return {next(iter(sample.labels.values())): sample.value for sample in samples}


async def test_what_waits_is_counted_until_its_cause_is_gone(book: OrderBook, clock: MovedClock) -> None:
    metrics = Metrics()
    watch = Watch(book.duties, book.waiting, metrics, PLATFORMS, holder="a")
    await book.claim([paid_order("T00001")])
    clock.at += timedelta(hours=2)
    await book.claim([paid_order("T00002"), paid_order("T00003")])
    await becomes(book, "T00001", attention="partial", posts=1, in_doubt_since=clock.at)
    await becomes(book, "T00002", carrier_outcome="rejected", refund_sequence=1, refund_at=clock.at)
    await book.write_notices("T00002", "failed", {"old": ("waiting", ""), "new": ("acknowledged", "")})
    clock.at += timedelta(minutes=30)

    await watch.run_once()

    assert shown(metrics, "topup_orders_unsettled") == {"placing": 1, "in_doubt": 0, "refunding": 1, "parked": 1}
    assert shown(metrics, "topup_orders_unsettled_oldest_seconds")["parked"] == 9000
    assert shown(metrics, "topup_orders_need_person")["partial"] == 1
    assert sum(shown(metrics, "topup_orders_need_person").values()) == 1
    assert shown(metrics, "topup_refunds_under_way") == {"10m": 0, "1h": 1, "24h": 0, "older": 0}
    assert shown(metrics, "topup_notices_unpublished") == {"new": 0, "old": 1}

    clock.at += timedelta(days=2)
    await watch.run_once()
    assert shown(metrics, "topup_refunds_under_way") == {"10m": 0, "1h": 0, "24h": 0, "older": 1}
    assert shown(metrics, "topup_orders_unsettled_oldest_seconds")["placing"] > 3600

    await becomes(book, "T00001", attention="", carrier_outcome="completed")
    await becomes(book, "T00001", outcome="delivered", settled_at=clock.at)
    await becomes(book, "T00002", refund_confirmed_at=clock.at)
    await becomes(book, "T00002", outcome="refunded", settled_at=clock.at)
    await becomes(book, "T00003", carrier_outcome="completed")
    await becomes(book, "T00003", outcome="delivered", settled_at=clock.at)
    await book.write_notices("T00002", "failed", {"old": ("acknowledged", "")})
    await watch.run_once()

    assert shown(metrics, "topup_orders_unsettled") == {"placing": 0, "in_doubt": 0, "refunding": 0, "parked": 0}
    for name in ("topup_orders_need_person", "topup_refunds_under_way", "topup_notices_unpublished"):
        assert set(shown(metrics, name).values()) == {0}
    assert max(shown(metrics, "topup_orders_unsettled_oldest_seconds").values()) == 0


async def test_one_process_at_a_time_says_it_and_another_when_that_one_is_gone(
    book: OrderBook, clock: MovedClock
) -> None:
    ours, others = Metrics(), Metrics()
    one = Watch(book.duties, book.waiting, ours, PLATFORMS, holder="a")
    two = Watch(book.duties, book.waiting, others, PLATFORMS, holder="b")
    await one.run_once()
    await two.run_once()
    assert shown(ours, "topup_orders_unsettled")
    assert shown(others, "topup_orders_unsettled") == {}

    clock.at += timedelta(seconds=LEASE_SECONDS + 1)  # the first one is frozen
    await two.run_once()
    await one.run_once()  # and thaws
    assert shown(others, "topup_orders_unsettled")
    assert shown(ours, "topup_orders_unsettled") == {}

    await book.duties.lay_down(DUTY, "a")  # which is not its own any more
    await one.run_once()
    assert shown(ours, "topup_orders_unsettled") == {}
    await book.duties.lay_down(DUTY, "b")
    await one.run_once()
    assert shown(ours, "topup_orders_unsettled")
