"""What an operator sees and sends, at a real Temporal with a run that says yes and no as orders' runs do."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orders.identities import workflow_id
from tests.console.test_commands import said, topup
from workflows import steps

pytestmark = pytest.mark.real


@workflow.defn(name=steps.TOP_UP_ORDER)
class Waiting:
    """Waits for an operator; ends when resolved or cancelled."""

    def __init__(self) -> None:
        self.words: list[tuple[str, Mapping[str, str]]] = []
        self.done = False

    @workflow.run
    async def run(self, order_id: str) -> list[tuple[str, Mapping[str, str]]]:
        try:
            await workflow.wait_condition(lambda: self.done)
        except asyncio.CancelledError:
            self.words.append(("cancelled", {}))
        return self.words

    @workflow.query
    def status(self) -> dict[str, object]:
        return {"order_id": "x", "state": "parked", "reason": "partial", "needs_operator": True, "notices": {}}

    @workflow.update
    async def retry_now(self, word: Mapping[str, str]) -> str:
        self.words.append(("retry_now", word))
        return "Asking again now."

    @retry_now.validator
    def _signed(self, word: Mapping[str, str]) -> None:
        if not word["note"]:
            raise ApplicationError("Say who you are and why.")

    @workflow.update
    async def resolve(self, word: Mapping[str, str]) -> str:
        self.words.append(("resolve", word))
        self.done = True
        return f"Recorded: {word['outcome']}."


class Order:
    def __init__(self, client: Client, order_id: str, queue: str) -> None:
        self.client, self.order_id, self.queue = client, order_id, queue
        self.handle = client.get_workflow_handle(workflow_id(order_id))

    async def topup(self, *arguments: str):
        environment = {
            "TEMPORAL_ADDRESS": self.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.client.namespace,
        }
        return await asyncio.to_thread(topup, "orders", *arguments, environment=environment)


@pytest.fixture
async def order(temporal_client) -> AsyncIterator[Order]:
    order_id = f"T{secrets.token_hex(8)}"
    queue = f"orders-{order_id}"
    attributes = [
        SearchAttributePair(steps.STATUS, "parked"),
        SearchAttributePair(steps.NEEDS_OPERATOR, value=True),
        SearchAttributePair(steps.PACKAGE, order_id),
    ]
    await temporal_client.start_workflow(
        steps.TOP_UP_ORDER,
        order_id,
        id=workflow_id(order_id),
        task_queue=queue,
        search_attributes=TypedSearchAttributes(attributes),
    )
    made = Order(temporal_client, order_id, queue)
    yield made
    if (await made.handle.describe()).status == 1:
        await made.handle.terminate()


def worker(order: Order) -> Worker:
    runner = UnsandboxedWorkflowRunner()
    return Worker(order.client, task_queue=order.queue, workflows=[Waiting], workflow_runner=runner)


async def listed(order: Order, *arguments: str) -> list[dict[str, object]]:
    """The list, once visibility has the order; it lags by some milliseconds."""
    for _ in range(50):
        done = await order.topup("list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found = [one for one in json.loads(done.stdout) if one["order_id"] == order.order_id]
        if found:
            return found
        await asyncio.sleep(0.1)
    return []


async def test_an_order_that_needs_an_operator_is_listed_and_shown(order):
    [found] = await listed(order)
    assert (found["status"], found["needs_operator"], found["run"]) == ("parked", True, "running")
    assert await listed(order, "--query", f'TopUpPackage = "{order.order_id}"')
    table = await order.topup("list", "--query", f'TopUpPackage = "{order.order_id}"')
    assert order.order_id in table.stdout
    async with worker(order):
        done = await order.topup("show", f"topup/{order.order_id}")
    assert done.returncode == 0
    assert "parked, needs an operator" in done.stdout
    assert "reason: partial" in done.stdout


async def test_an_update_is_sent_with_operator_and_note_and_its_answer_printed(order):
    async with worker(order):
        done = await order.topup("retry", order.order_id, "--note", "carrier is back", "--operator", "li")
        assert (done.returncode, done.stdout.strip()) == (0, "Asking again now.")
        done = await order.topup("resolve", order.order_id, "--outcome", "delivered", "--note", "4711", "--json")
        assert json.loads(done.stdout) == {"order_id": order.order_id, "ok": True, "says": "Recorded: delivered."}
        words = await order.handle.result()
    assert words[0] == ["retry_now", {"operator": "li", "note": "carrier is back"}]
    name, word = words[1]
    assert (name, word["outcome"], word["note"]) == ("resolve", "delivered", "4711")
    assert word["operator"]


async def test_a_refused_update_prints_the_sentence_only_and_ends_with_1(order):
    async with worker(order):
        done = await order.topup("retry", order.order_id)
    assert done.returncode == 1
    assert said(done) == "topup: Say who you are and why.\n"


async def test_a_cancel_reaches_the_run_and_a_second_one_says_that_nothing_is_open(order):
    async with worker(order):
        done = await order.topup("cancel", order.order_id, "--note", "customer called")
        assert done.returncode == 0
        assert await order.handle.result() == [["cancelled", {}]]
    done = await order.topup("cancel", order.order_id)
    assert done.returncode == 1
    assert "completed; a cancel would change nothing" in said(done)


async def test_without_a_worker_an_answer_is_not_waited_for_without_end(order):
    shown, updated = await asyncio.gather(
        order.topup("show", order.order_id), order.topup("retry", order.order_id, "--note", "x")
    )
    assert (shown.returncode, updated.returncode) == (1, 1)
    for sentence in (shown.stdout, said(updated)):
        assert "No worker answered" in sentence or "no poller" in sentence.lower()


async def test_an_order_that_temporal_does_not_know_is_a_sentence(order):
    done = await order.topup("retry", "T404404", "--note", "x")
    assert done.returncode == 1
    assert "Temporal has no run for order T404404" in said(done)


async def test_a_query_that_cannot_be_read_is_wrong_usage(order):
    done = await order.topup("list", "--query", "TopUpStatus = = 3")
    assert done.returncode == 2
    assert "Temporal can't do that" in said(done)
