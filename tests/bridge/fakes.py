"""Fakes with honest state: a book that remembers, a Temporal that knows its runs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from adapters.kafka.assignments import Record
from adapters.kafka.watermark import PartitionAssignment
from adapters.order_book.book import Claim, ClaimResult
from adapters.order_book.claims import ClaimsHeld
from bridge.starter import ForeignRun
from orders.arrival import Arrival
from orders.errors import Unavailable
from orders.paid_order import PaidOrder
from orders.state import OrderState

T = TypeVar("T")


class FakeBook:
    """Claims as the order book does; `away` makes it unavailable, `settled` and `first_pass` are its state."""

    def __init__(self) -> None:
        self.away = False
        self.content: dict[str, str] = {}
        self.payments: dict[tuple[str, str], str] = {}
        self.settled: set[str] = set()
        self.held: set[str] = set()
        """Orders that another process is just claiming."""
        self.calls = 0
        self.counted = 0
        self.decides = True
        """Whether rules are run; else it is away for them alone."""
        self.states: dict[str, OrderState] = {}
        """What rules have made of the orders."""

    def _here(self) -> None:
        if self.away:
            raise Unavailable("The order book's database doesn't answer.")

    async def claim(self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival] = ()) -> list[ClaimResult]:
        assert len(arrivals) == len(orders), "each record has its place in the trail"
        self.calls += 1
        await asyncio.sleep(0)
        self._here()
        results = [None if order.order_id in self.held else self._claim(order) for order in orders]
        if None in results:
            raise ClaimsHeld(results, next(iter(self.held)))
        return [result for result in results if result is not None]

    def _claim(self, order: PaidOrder) -> ClaimResult:
        order_id, digest = order.order_id, order.content_digest()
        payment = (order.payment.provider, order.payment.transaction_id)
        if order_id in self.content:
            if self.content[order_id] != digest:
                return ClaimResult(order_id, Claim.CONFLICT, "other content")
            return ClaimResult(order_id, Claim.SETTLED if order_id in self.settled else Claim.UNSETTLED)
        if payment in self.payments:
            return ClaimResult(order_id, Claim.CONFLICT, "this payment was accepted before")
        self.content[order_id], self.payments[payment] = digest, order_id
        return ClaimResult(order_id, Claim.NEW)

    async def first_pass_count(self) -> int:
        self.counted += 1
        self._here()
        behind = {order_id for order_id, state in self.states.items() if not state.first_pass}
        return len(self.content) - len(self.settled | behind)

    async def decide(
        self,
        order_id: str,
        rule: Callable[[Any], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        await asyncio.sleep(0)
        self._here()
        if not self.decides:
            raise Unavailable("The order book's database doesn't answer.")
        before = self.states.get(order_id, OrderState(order_id, datetime(2023, 8, 21, tzinfo=UTC)))
        self.states[order_id], answer = rule(SimpleNamespace(state=before))
        assert kind
        detail(answer)
        return answer

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        self._here()
        return {order_id for order_id in order_ids if order_id in self.content}


class FakeTemporal:
    """`away` refuses; `loses_answers` starts the run and fails all the same, so many times."""

    def __init__(self) -> None:
        self.away = False
        self.refused: set[str] = set()
        """Orders whose start fails, and no other's."""
        self.foreign: set[str] = set()
        """Orders under whose ID another run stands."""
        self.loses_answers = 0
        self.runs: list[str] = []
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0

    async def start(self, order: PaidOrder) -> bool:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        if self.away or order.order_id in self.refused:
            raise Unavailable("Temporal doesn't start runs.")
        if order.order_id in self.foreign:
            raise ForeignRun(f"another run stands under {order.order_id}", datetime.now(UTC))
        if order.order_id in self.runs:
            return False
        self.runs.append(order.order_id)
        if self.loses_answers:
            self.loses_answers -= 1
            raise Unavailable("no answer in time")
        return True


class FakeDeadLetters:
    def __init__(self) -> None:
        self.away = False
        self.letters: list[tuple[int, str, str]] = []

    async def send(self, record: Record, reason: str, error: str) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("Dead letters can't be written.")
        self.letters.append((record.offset, reason, error))


def records(assignment: PartitionAssignment, values: Sequence[bytes | None], *, first: int = 0) -> list[Record]:
    """Delivered records of one partition, at offsets that rise from `first`."""
    made: list[Record] = []
    for offset, value in enumerate(values, first):
        assignment.deliver(offset, len(value or b""))
        made.append(Record(assignment, offset, 1692614035000, None, value, []))
    return made
