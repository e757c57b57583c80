"""Who may start runs may start one under an order's ID: no command takes it for the order's; each says what helps."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from activities.reopening import Reopening
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import DoctorSettings
from console import health, listing, reopening, runs, showing
from console.exits import CommandFailed
from console.stranded import unsettled
from runtime.clock import SystemClock
from runtime.settings.groups import OrdersAccess
from tests.workflows.conftest import paid_order
from workflows import steps

ORDER = paid_order()
QUEUE = "q"
OPEN, CLOSED = WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.TERMINATED
FOREIGN = [("Other", QUEUE), (steps.TOP_UP_ORDER, "elsewhere"), ("\x1b]52;c;x\x07$(id)", "`id`")]


class Temporal:
    """A client that knows one run, under the order's ID; notes what is sent, and to which run."""

    def __init__(self, workflow_type: str, task_queue: str, status: WorkflowExecutionStatus = OPEN) -> None:
        self.id, self.run_id = f"topup/{ORDER.order_id}", "run-1"
        self.workflow_type, self.task_queue, self.status = workflow_type, task_queue, status
        self.start_time = datetime.now(UTC)
        attributes = [SearchAttributePair(steps.STATUS, "delivered"), SearchAttributePair(steps.PACKAGE, "FORGED")]
        self.typed_search_attributes = TypedSearchAttributes(attributes)
        self.sent = list[tuple[str, str | None]]()

    def get_workflow_handle(self, _workflow_id: str, *, run_id: str | None = None) -> Any:
        def send(what: str, answer: object) -> Any:
            async def sending(*_arguments: object, result_type: object = None, **_named: object) -> object:
                self.sent.append((what, run_id))
                return answer if result_type is None else SimpleNamespace(current_details="")

            return sending

        async def describe(**_named: object) -> "Temporal":
            return self

        return SimpleNamespace(
            describe=describe,
            execute_update=send("update", "Done."),
            cancel=send("cancel", None),
            query=send("query", {"state": "parked"}),
        )

    async def list_workflows(self, *_arguments: object, **_named: object) -> AsyncIterator["Temporal"]:
        yield self


async def _all_that_is_sent(temporal: Temporal) -> list[str]:
    """What each command that speaks to a run says, or is refused with."""
    client, order_id = cast("Client", temporal), ORDER.order_id
    work = [
        runs.update(client, order_id, QUEUE, "resolve", {}),
        runs.cancel(client, order_id, QUEUE, "li: why"),
        runs.status(client, order_id, QUEUE),
    ]
    heard = list[str]()
    for one in work:
        try:
            heard.append(str(await one))
        except CommandFailed as failure:
            heard += failure.sentences
    await runs.details(client, order_id, QUEUE)
    return heard


@pytest.mark.parametrize(("workflow_type", "task_queue"), FOREIGN)
@pytest.mark.parametrize("status", [OPEN, CLOSED])
async def test_nothing_is_sent_to_a_foreign_run_and_a_sentence_says_what_helps(
    workflow_type: str, task_queue: str, status: WorkflowExecutionStatus
):
    """Operator, note and word went to whoever's worker, whose answer was printed as the order's."""
    temporal = Temporal(workflow_type, task_queue, status)
    heard = await _all_that_is_sent(temporal)
    assert temporal.sent == []
    assert len(heard) == 3
    for sentence in heard:
        assert sentence.startswith("Nothing was sent: ")
        assert f"`temporal workflow describe --workflow-id topup/{ORDER.order_id}`), and terminate it" in sentence
        assert sentence.isprintable(), "its type and queue are whoever's words"
        assert "id)" not in sentence.replace("order-id)", "")


async def test_the_orders_own_run_is_spoken_to_and_no_other_that_comes_between():
    temporal = Temporal(steps.TOP_UP_ORDER, QUEUE)
    await _all_that_is_sent(temporal)
    assert temporal.sent == [("update", "run-1"), ("cancel", "run-1"), ("query", "run-1"), ("query", "run-1")]


@pytest.mark.parametrize("name", [ORDER.order_id, f"copy-of/{ORDER.order_id}", "topup/$(id)", "topup/", "topup/T 1"])
async def test_a_run_whose_id_is_no_orders_stands_for_none_in_a_list(name: str):
    """Of our type and queue, under the bare order ID: a batch by query sent its word to that order, matched or not."""
    temporal = Temporal(steps.TOP_UP_ORDER, QUEUE)
    assert [one.order_id for one in await runs.listed(cast("Client", temporal), QUEUE, "", 10)] == [ORDER.order_id]
    temporal.id = name
    assert await runs.listed(cast("Client", temporal), QUEUE, "", 10) == []


async def test_of_a_foreign_run_nothing_is_believed():
    """Whoever starts a run sets its search attributes."""
    latest = await runs.latest_run(cast("Client", Temporal("Other", QUEUE)), ORDER.order_id, QUEUE)
    assert latest is not None
    assert (latest.run, latest.status, latest.package) == ("foreign", "", "")
    assert "terminate it" in latest.reason

    closed = await runs.latest_run(cast("Client", Temporal("Other", QUEUE, CLOSED)), ORDER.order_id, QUEUE)
    assert closed is not None
    assert (closed.run, closed.status, closed.reason) == ("foreign_closed", "", "")

    own = await runs.latest_run(cast("Client", Temporal(steps.TOP_UP_ORDER, QUEUE)), ORDER.order_id, QUEUE)
    assert own is not None
    assert (own.run, own.status) == ("running", "delivered")


@pytest.mark.parametrize(
    ("temporal", "helps"),
    [
        (Temporal("Other", QUEUE), "terminate it"),
        (Temporal("Other", QUEUE, CLOSED), f"`topup orders reopen {ORDER.order_id}`"),
        (Temporal(steps.TOP_UP_ORDER, QUEUE, CLOSED), f"`topup orders reopen {ORDER.order_id}`"),
    ],
    ids=["a foreign run", "a closed one", "its own, closed"],
)
async def test_list_show_and_doctor_say_what_helps(
    temporal: Temporal, helps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They said "reopen" of an order behind a foreign run, which reopening can't help."""
    other = ({"terminate it", "topup orders reopen"} - {helps, helps.strip("`").rpartition(" ")[0]}).pop()
    async with _one_order(tmp_path) as (book, settings):

        async def client(_settings: object) -> Any:
            return temporal

        for module in (health, showing, listing):
            monkeypatch.setattr(module, "temporal_client", client)
        [stranded] = (await unsettled(cast("Client", temporal), book, settings)).stranded
        shown = await showing.look(settings, ORDER.order_id)
        steps_of_doctor = {step.part: step for step in await health._order_steps(cast("DoctorSettings", settings))}

    for says in (stranded.reason, shown.do_now):
        assert "nobody works on it" in says
        assert helps in says
        assert other not in says
    assert temporal.sent == []
    blocked, nobody = steps_of_doctor["orders behind another's run"], steps_of_doctor["orders nobody works on"]
    assert (blocked.ok, nobody.ok) == ((False, True) if temporal.status is OPEN else (True, False))


async def test_reopening_behind_a_foreign_run_does_nothing_and_says_so(tmp_path: Path):
    async with _one_order(tmp_path) as (book, _):
        client = cast("Client", Temporal("Other", QUEUE))
        again = Reopening(lambda: client, book, SystemClock(), lambda *_a, **_n: None, task_queue=QUEUE, scale=1.0)
        with pytest.raises(CommandFailed, match=r"Nothing was done: .* terminate it") as raised:
            await reopening._one(again, ORDER.order_id)
    assert "sweep then starts the order's own" in str(raised.value)


async def test_a_run_that_is_none_is_a_sentence_as_before():
    class Empty(Temporal):
        def get_workflow_handle(self, _workflow_id: str, *, run_id: str | None = None) -> Any:
            del run_id

            async def describe(**_named: object) -> None:
                raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")

            return SimpleNamespace(describe=describe)

    heard = await _all_that_is_sent(Empty(steps.TOP_UP_ORDER, QUEUE))
    assert all("Temporal has no run for order" in sentence for sentence in heard)


@asynccontextmanager
async def _one_order(tmp_path: Path) -> AsyncGenerator[tuple[OrderBook, OrdersAccess]]:
    """A book with one order that was claimed an hour ago."""
    url, key = f"sqlite:///{tmp_path / 'book.db'}", bytes(range(32))

    class Earlier(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(hours=1)

    book = OrderBook.open(url, FieldCipher(key), Earlier())
    await book.migrate()
    await book.claim([ORDER])
    settings = SimpleNamespace(
        task_queue=QUEUE, time_scale=1.0, database_url=url, pii_key=key, pii_keys=(key,), temporal=None
    )
    try:
        yield book, cast("OrdersAccess", settings)
    finally:
        await book.close()
