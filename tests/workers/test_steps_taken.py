"""One line per order and step; what a storm leaves out is counted and said; what is old is not said at all."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from adapters.order_book.duties import LEASE_SECONDS
from adapters.order_book.waiting import Waiting
from orders.errors import Unavailable
from orders.milestones import milestones
from orders.state import OrderState
from runtime import order_lines
from runtime.metrics import Metrics
from runtime.order_lines import BURST_LINES, OrderLines
from workers import waiting
from workers.steps_taken import StepsTaken
from workers.waiting import Watch

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
CLAIMED = OrderState(order_id="T1", claimed_at=AT)
SENT = replace(CLAIMED, posts=1, last_post_at=AT)
REFUSED = replace(SENT, carrier_outcome="rejected", carrier_code="SIM_SUSPENDED")
REFUND_SENT = replace(REFUSED, refund_sequence=1, refund_at=AT, refund_sent_at=AT)
CONFIRMED = replace(REFUND_SENT, refund_confirmed_at=AT)


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (CLAIMED, SENT, [("sent", {"post": 1})]),
        (SENT, CLAIMED, [("not_sent", {"post": 1})]),
        (SENT, replace(SENT, carrier_outcome="completed"), [("placed", {})]),
        (SENT, REFUSED, [("refused", {"code": "SIM_SUSPENDED"})]),
        (SENT, replace(SENT, burn_at=AT), [("burn_sent", {})]),
        (REFUSED, REFUND_SENT, [("refund_sent", {"refund_number": "RT1"})]),
        (REFUND_SENT, CONFIRMED, [("refund_confirmed", {})]),
        (CONFIRMED, replace(CONFIRMED, outcome="refunded"), [("settled", {"outcome": "refunded"})]),
        (SENT, replace(SENT, attention="partial"), [("needs_person", {"attention": "partial"})]),
        (replace(SENT, attention="partial"), SENT, [("freed", {})]),
        (SENT, replace(SENT, in_doubt_since=AT, reason="no answer"), []),
    ],
)
def test_each_step_of_an_order_is_one_event(before: OrderState, after: OrderState, events: list[Any]) -> None:
    assert list(milestones(before, after)) == events


def test_a_settled_order_is_measured_from_its_payment() -> None:
    metrics = Metrics()
    with structlog.testing.capture_logs() as lines:
        StepsTaken(metrics)("settled", "T1", outcome="delivered", paid_to_settled_seconds=2.5)

    assert lines == [
        {
            "event": "settled",
            "log_level": "info",
            "order_id": "T1",
            "outcome": "delivered",
            "paid_to_settled_seconds": 2.5,
        }
    ]
    text = metrics.exposition().decode()
    assert 'topup_paid_to_settled_seconds_sum{outcome="delivered"} 2.5' in text


def test_a_storm_is_cut_counted_and_said_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:
            written.append((event, fields))

        warning = info

    monkeypatch.setattr(order_lines, "_log", Log())
    at, metrics = [0.0], Metrics()
    lines = OrderLines(metrics, lambda: at[0])
    for number in range(int(BURST_LINES) + 30):
        lines("duplicate", f"T{number}", partition=0, offset=number)
    assert len(written) == BURST_LINES

    at[0] += 1
    lines("started", "T1")

    assert [event for event, _ in written[int(BURST_LINES) :]] == ["lines left out", "started"]
    assert written[int(BURST_LINES)][1]["left_out"] == {"duplicate": 30}
    assert 'topup_log_lines_left_out_total{event="duplicate"} 30.0' in metrics.exposition().decode()


async def test_a_book_that_is_away_leaves_the_last_look_until_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    at, metrics = [1000.0], Metrics()
    monkeypatch.setattr(waiting.time, "monotonic", lambda: at[0])

    class Book:
        away = False

        async def take(self, name: str, holder: str) -> bool:
            if self.away:
                raise Unavailable("away")
            return True

        async def look(self) -> Waiting:
            return Waiting({"parked": 3}, {"parked": 60.0}, {"partial": 3}, {}, {"old": 2})

    book: Any = Book()
    watch = Watch(book, book, metrics, ("new",), holder="a")
    await watch.run_once()
    book.away = True
    await watch.run_once()
    assert 'topup_orders_need_person{attention="partial"} 3.0' in metrics.exposition().decode()

    at[0] += LEASE_SECONDS + 1
    await watch.run_once()
    said = metrics.exposition().decode()
    assert "topup_orders_need_person{" not in said
    assert "topup_book_read_timestamp_seconds 0.0" in said

    book.away = False
    await watch.run_once()
    assert "topup_book_read_timestamp_seconds 0.0" not in metrics.exposition().decode()
