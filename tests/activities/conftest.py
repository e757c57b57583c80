"""One order in a real order book, the outside world faked, and the steps over both: what an activity does by itself."""

import dataclasses
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.order_desk import OrderDesk
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.telecom import TelecomActivities
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders.state import OrderState
from runtime.clock import SystemClock
from tests.workflows.conftest import paid_order
from tests.workflows.fakes import FakeCarrier, FakeProvider
from tests.workflows.world import TIMES
from workflows.steps import OrderRequest, Progress


class MovedClock(SystemClock):
    """Ours, and as much later as a test moves it."""

    ahead = timedelta(0)

    def now(self) -> Any:
        return super().now() + self.ahead


class Steps:
    """The steps of one order, and what they did outside."""

    def __init__(self, book: OrderBook) -> None:
        self.book = book
        self.order = paid_order()
        self.clock = MovedClock()
        self.alerts: list[str] = []
        self.carrier, self.provider = FakeCarrier(self.clock), FakeProvider()
        self.desk = OrderDesk(book=book, clock=self.clock, alert=self._alert, times=TIMES, scale=1.0)
        self.rewire()

    def rewire(self) -> None:
        """Make the activities anew, of what stands here now."""
        self.telecom, self.recording = TelecomActivities(self.carrier, self.desk), RecordingActivities(self.desk)
        self.refunding = RefundingActivities({"wechat": self.provider}, self.desk)

    def _alert(self, kind: str, **_fields: str) -> None:
        self.alerts.append(kind)

    @property
    def sent(self) -> list[str]:
        """Every request that left, in order by side."""
        return [*self.carrier.calls, *self.provider.calls]

    async def state(self) -> OrderState:
        return (await self.book.read(self.order.order_id)).state

    async def put(self, **changes: Any) -> None:
        """Bring the row to where a test begins."""
        order_id = self.order.order_id
        await self.book.decide(
            order_id, lambda stored: (replace(stored.state, **changes), None), kind="test", detail=lambda _: {}
        )

    async def run(self, step: Any, *, seen: str = "", is_local: bool = False) -> Progress:
        """One attempt."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, is_local=is_local)
        return await environment.run(step, OrderRequest(order_id=self.order.order_id, seen=seen))

    async def fail(self, step: Any, *, seen: str) -> ApplicationError:
        """One regular attempt, which fails so that the engine tries again."""
        with pytest.raises(ApplicationError) as failure:
            await self.run(step, seen=seen)
        return failure.value


@pytest.fixture
async def steps(tmp_path: Path) -> AsyncGenerator[Steps]:
    book = OrderBook.open(f"sqlite:///{tmp_path / 'book.db'}", FieldCipher(bytes(32)), SystemClock())
    await book.migrate()
    made = Steps(book)
    await book.claim([made.order])
    yield made
    await book.close()
