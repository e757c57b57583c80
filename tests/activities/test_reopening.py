"""The sweep takes up what nobody works on, and nothing else."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.reopening import Reopened, Reopening
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.worked_on import WorkedOn
from orders import carrier_rules, goodwill, refund_rules
from orders.foreign_runs import note_foreign_run
from orders.identities import workflow_id
from orders.next_step import next_step
from orders.outcomes import Completed
from orders.state import OrderState
from runtime.clock import SystemClock
from tests.workflows.conftest import paid_order
from tests.workflows.world import TIMES
from workflows.sweep import Swept

CLOCK = SystemClock()
ORDER = paid_order()


class Server:
    """A Temporal client whose run of an order ends by itself, or is gone, while the sweep looks at it."""

    def __init__(self, book: OrderBook, *, settles: bool) -> None:
        self.book = book
        self.settles = settles
        self.started: list[str] = []

    def get_workflow_handle(self, _workflow_id: str) -> "Server":
        return self

    async def describe(self) -> Any:
        if not self.settles:
            raise RPCError("no such run", RPCStatusCode.NOT_FOUND, b"")
        order_id = ORDER.order_id
        answer = Completed(carrier_order_id="C1")
        await self.book.decide(
            order_id,
            lambda stored: carrier_rules.record_response(stored.state, CLOCK.now(), answer),
            kind="post",
            detail=lambda _: {},
        )
        await self.book.decide(
            order_id,
            lambda stored: refund_rules.settle(stored.state, CLOCK.now(), TIMES),
            kind="settle",
            detail=lambda _: {},
        )
        return SimpleNamespace(status=WorkflowExecutionStatus.COMPLETED)

    async def start_workflow(self, *_arguments: Any, **named: Any) -> None:
        self.started.append(named["id"])


async def _sweep(tmp_path: Path, *, settles: bool) -> tuple[Swept, list[str], list[str], OrderState]:
    async with _one_order(tmp_path) as book:
        server, alerts = Server(book, settles=settles), list[str]()
        reopening = _reopening(book, server, alerts)
        swept = await ActivityEnvironment().run(reopening.reopen_unsettled_orders)
        if settles:
            assert await reopening.reopen(ORDER.order_id) is Reopened.SETTLED
        state = (await book.read(ORDER.order_id)).state
    return swept, server.started, alerts, state


class SystemClockLater(SystemClock):
    """An hour on: every order is old enough."""

    def now(self) -> Any:
        return super().now() + timedelta(hours=1)


async def test_an_order_that_settles_while_the_sweep_looks_at_it_gets_no_second_run_and_no_alert(tmp_path: Path):
    swept, started, alerts, state = await _sweep(tmp_path, settles=True)

    assert (swept.unsettled, swept.reopened, started, alerts) == (1, 0, [], [])
    assert state.reopened_at is None


async def test_an_order_without_a_run_is_taken_up_again_with_an_alert(tmp_path: Path):
    swept, started, alerts, _ = await _sweep(tmp_path, settles=False)

    assert (swept.unsettled, swept.reopened, len(started), alerts) == (1, 1, 1, ["order_had_no_run"])


async def test_that_an_order_is_taken_up_again_is_in_the_book_before_its_run_starts(tmp_path: Path):
    """So that the run asks the carrier before it sends anything to it."""
    _, started, _, state = await _sweep(tmp_path, settles=False)

    assert started
    assert state.reopened_at is not None
    assert next_step(state, CLOCK.now(), TIMES).kind == "query_carrier"


@pytest.mark.parametrize(("workflow_type", "task_queue"), [("Other", "q"), ("TopUpOrder", "elsewhere")])
async def test_a_foreign_run_under_an_orders_id_calls_a_person_and_its_own_starts_once_it_is_gone(
    tmp_path: Path, workflow_type: str, task_queue: str
):
    """It counted as the order's own before: the order stood at `placing` for ever, and nobody heard."""
    async with _one_order(tmp_path) as book:
        server = Occupied(workflow_type, task_queue)
        alerts = list[str]()
        reopening = _reopening(book, server, alerts)

        swept = await ActivityEnvironment().run(reopening.reopen_unsettled_orders)
        assert (swept.reopened, server.started, alerts) == (0, [], ["order_not_started"])
        assert await reopening.reopen(ORDER.order_id) is Reopened.FOREIGN
        assert (await book.read(ORDER.order_id)).state.reopened_at is None
        assert (await book.read(ORDER.order_id)).state.attention == "foreign_run"
        assert await book.first_pass_count() == 0
        lines = [event.detail for event in await book.events(ORDER.order_id) if event.kind == "status"]
        assert lines == [{"calls_for": "foreign_run"}], "once, however often it is seen"

        server.status = WorkflowExecutionStatus.TERMINATED
        swept = await ActivityEnvironment().run(reopening.reopen_unsettled_orders)
        assert (await book.read(ORDER.order_id)).state.attention == ""
        assert await book.first_pass_count() == 1
    assert (swept.reopened, server.started) == (1, [workflow_id(ORDER.order_id)])


async def test_an_order_whose_own_run_is_there_stands_behind_no_other(tmp_path: Path):
    """Written late: by a bridge that saw another's run before that was terminated and the order's own was started."""
    async with _one_order(tmp_path) as book:
        await book.decide(
            ORDER.order_id,
            lambda stored: note_foreign_run(stored.state, CLOCK.now()),
            kind="status",
            detail=lambda _: {},
        )
        server, alerts = Occupied("TopUpOrder", "q"), list[str]()
        await ActivityEnvironment().run(_reopening(book, server, alerts).reopen_unsettled_orders)
        assert (await book.read(ORDER.order_id)).state.attention == ""
    assert (server.started, alerts) == ([], [])


async def test_an_open_run_of_the_orders_own_is_left_alone(tmp_path: Path):
    async with _one_order(tmp_path) as book:
        server, alerts = Occupied("TopUpOrder", "q"), list[str]()
        swept = await ActivityEnvironment().run(_reopening(book, server, alerts).reopen_unsettled_orders)
    assert (swept.unsettled, swept.reopened, server.started, alerts) == (1, 0, [], [])


async def test_goodwill_that_two_persons_have_decided_is_taken_up_and_what_one_wishes_is_not(tmp_path: Path):
    """Also where the process that wrote the second word died before it started the run."""
    async with _one_order(tmp_path) as book:
        for rule in (
            lambda stored: carrier_rules.record_response(stored.state, CLOCK.now(), Completed(carrier_order_id="C1")),
            lambda stored: refund_rules.settle(stored.state, CLOCK.now(), TIMES),
        ):
            await book.decide(ORDER.order_id, rule, kind="test", detail=lambda _: {})
        server, alerts = Occupied("GoodwillRefund", "q"), list[str]()
        server.status = WorkflowExecutionStatus.TERMINATED
        reopening = _reopening(WorkedOn(book), server, alerts)
        for operator, found in (("li", []), ("wang", [f"goodwill/{ORDER.order_id}/1"])):
            rule = partial(goodwill.ask, amount_fen=500, operator=operator, note="ticket 4711")
            await book.goodwill.ask(ORDER.order_id, rule, detail=lambda _: {})
            await ActivityEnvironment().run(reopening.reopen_unsettled_orders)
            assert server.started == found
        assert alerts == ["order_had_no_run"]
        server.status = WorkflowExecutionStatus.RUNNING
        assert await reopening.reopen(f"{ORDER.order_id}/1") is Reopened.RUNNING
        assert (await book.read(ORDER.order_id)).state.reopened_at is None, "the order is done"


async def test_a_foreign_run_that_comes_between_look_and_start_calls_a_person(tmp_path: Path):
    async with _one_order(tmp_path) as book:
        server, alerts = Occupied("Other", "q", comes_at_start=True), list[str]()
        assert await _reopening(book, server, alerts).reopen(ORDER.order_id) is Reopened.FOREIGN
        assert (await book.read(ORDER.order_id)).state.attention == "foreign_run"
    assert alerts == ["order_had_no_run", "order_not_started"]


class Occupied:
    """A Temporal client that has one run, under the order's ID."""

    def __init__(self, workflow_type: str, task_queue: str, *, comes_at_start: bool = False) -> None:
        self.workflow_type, self.task_queue = workflow_type, task_queue
        self.status = WorkflowExecutionStatus.COMPLETED if comes_at_start else WorkflowExecutionStatus.RUNNING
        self.comes_at_start = comes_at_start
        self.started: list[str] = []

    def get_workflow_handle(self, _workflow_id: str) -> "Occupied":
        return self

    async def describe(self) -> "Occupied":
        return self

    async def start_workflow(self, *_arguments: Any, **named: Any) -> None:
        if self.comes_at_start:
            self.status = WorkflowExecutionStatus.RUNNING
            raise WorkflowAlreadyStartedError(named["id"], "TopUpOrder")
        self.started.append(named["id"])


@asynccontextmanager
async def _one_order(tmp_path: Path) -> AsyncGenerator[OrderBook, None]:
    book = OrderBook.open(f"sqlite:///{tmp_path / 'book.db'}", FieldCipher(bytes(32)), CLOCK)
    try:
        await book.migrate()
        await book.claim([ORDER])
        yield book
    finally:
        await book.close()


def _reopening(book: OrderBook | WorkedOn, server: object, alerts: list[str]) -> Reopening:
    return Reopening(
        lambda: cast("Client", server),
        book,
        SystemClockLater(),
        lambda kind, **_fields: alerts.append(kind),
        task_queue="q",
        scale=1.0,
    )
