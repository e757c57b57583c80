"""A refund's attempt that was frozen between the order book and the provider, and thaws much later."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.refunding import RefundingActivities
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders import book as rules
from orders.outcomes import RefundAnswer, RefundDenied, RefundInDoubt, RefundRequest, RefundResult, Refused
from orders.paid_order import PaidOrder
from runtime.clock import SystemClock
from tests.workflows.conftest import paid_order
from tests.workflows.fakes import FakeProvider, account_gone
from workflows.steps import RefundStepRequest

FROZEN = timedelta(minutes=10)


class Clock(SystemClock):
    """Ours, and as much later as the attempt was frozen."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Freezing(FakeProvider):
    """Stops the attempt before its bytes leave, or before it has booked what came back."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.before_send = False
        self.meanwhile: Callable[[], Any] | None = None

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> RefundAnswer:
        if self.before_send:
            self.clock.ahead += FROZEN
        answer = await super().refund(request, timeout_seconds=timeout_seconds, in_time=in_time)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return answer


class Desk:
    """One order whose carrier has refused it."""

    def __init__(self, book: OrderBook, order: PaidOrder) -> None:
        self.book = book
        self.order = order
        self.clock = Clock()
        self.provider = Freezing(self.clock)
        self.activities = RefundingActivities(
            {"wechat": self.provider}, book, self.clock, lambda _kind, **_fields: None, 1.0
        )

    async def refund(self, **more: Any) -> RefundResult:
        ask = RefundStepRequest(order_id=self.order.order_id, **more)
        return await ActivityEnvironment().run(self.activities.refund_payment, ask)

    async def entry(self) -> rules.OrderState:
        return (await self.book.read(self.order.order_id)).state


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk, None]:
    book = OrderBook.open(f"sqlite:///{tmp_path / 'book.db'}", FieldCipher(bytes(32)), SystemClock())
    await book.migrate()
    order = paid_order()
    await book.claim([order])
    refused = Refused(code="SIM_SUSPENDED")
    await book.decide(
        order.order_id,
        lambda record: rules.record_response(record.state, SystemClock().now(), refused),
        kind="post",
        detail=lambda _: {},
    )
    yield Desk(book, order)
    await book.close()


async def test_a_refund_whose_attempt_thaws_long_after_the_book_let_it_go_is_not_sent(desk: Desk):
    """A person may have paid another way since, and a provider that has changed its mind would pay it twice."""
    desk.provider.before_send = True

    says = await desk.refund()

    assert isinstance(says.answer, RefundInDoubt)
    assert (desk.provider.calls, desk.provider.refunds) == (["late"], {})
    desk.provider.before_send = False
    await desk.refund()
    assert list(desk.provider.refunds) == [f"R{desk.order.order_id}"]


async def test_a_refusal_that_is_booked_late_says_nothing_of_a_later_send_that_was_taken_in(desk: Desk):
    """Else an operator could be asked to pay another way what the provider is paying."""
    desk.provider.plan = [account_gone]
    desk.provider.meanwhile = desk.refund

    says = await desk.refund()

    assert isinstance(says.answer, RefundInDoubt)
    entry = await desk.state()
    assert (desk.provider.calls.count("REFUND"), entry.refund_denied) == (2, "")
    assert rules.resolve_refunded(entry, "bank transfer")[1] != ""


async def test_the_refusal_of_the_latest_send_counts(desk: Desk):
    desk.provider.plan = [account_gone]

    says = await desk.refund()

    assert isinstance(says.answer, RefundDenied)
    assert (await desk.state()).refund_denied == "USER_ACCOUNT_ABNORMAL"
