"""What the telecom steps do where no saga can see it."""

import asyncio
import dataclasses
import gc
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import telecom
from activities.order_desk import OrderDesk
from activities.telecom import TelecomActivities
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders.errors import Unavailable
from orders.next_step import QueryCarrier
from orders.outcomes import Completed
from runtime.clock import SystemClock
from tests.workflows.conftest import paid_order
from tests.workflows.fakes import FakeCarrier
from tests.workflows.world import TIMES
from workflows.steps import OrderRequest


class SlowCarrier(FakeCarrier):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.let = asyncio.Event()

    async def submit(self, body: bytes, **options: Any) -> Any:
        await self.let.wait()
        del body, options
        return Completed(carrier_order_id="C1")


class ForgetfulBook(OrderBook):
    """Away when the POST's answer is to be booked."""

    async def decide(self, order_id: str, rule: Any, *, kind: str, detail: Any) -> Any:
        if kind == "post":
            raise Unavailable("The order book's database doesn't answer.")
        return await super().decide(order_id, rule, kind=kind, detail=detail)


def no_alert(kind: str, **fields: str) -> None:
    raise AssertionError((kind, fields))


async def test_an_answer_that_nobody_waits_for_and_that_the_book_does_not_take_is_said_with_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    book = ForgetfulBook.open(f"sqlite:///{tmp_path / 'book.db'}", FieldCipher(bytes(32)), SystemClock())
    assert isinstance(book, ForgetfulBook)
    await book.migrate()
    order = paid_order()
    await book.claim([order])
    carrier = SlowCarrier()
    desk = OrderDesk(book=book, clock=SystemClock(), alert=no_alert, times=TIMES, scale=1.0)
    steps = TelecomActivities(carrier, desk)
    monkeypatch.setattr(telecom, "LOCAL_ANSWER_SECONDS", 0.01)
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, is_local=True)
    unretrieved: list[Mapping[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unretrieved.append(context))
    try:
        progress = await environment.run(steps.place_telecom_order, OrderRequest(order_id=order.order_id))
        assert isinstance(progress.next, QueryCarrier)
        carrier.let.set()
        with caplog.at_level(logging.WARNING):
            await steps.drain()
            gc.collect()
            await asyncio.sleep(0)
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
        await book.close()
    assert [order.order_id in record.getMessage() for record in caplog.records] == [True]
    assert unretrieved == []
