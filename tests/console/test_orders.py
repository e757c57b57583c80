"""What an operator sees and sends, at a real Temporal with a run that says yes and no as orders' runs do."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from console.acting import AT_ONCE, Batch
from console.exits import CommandFailed
from console.runs import NobodyAnswers
from orders.identities import workflow_id
from orders.trace import trace_id
from tests.console.test_commands import said, topup
from tests.limits import WAIT_SECONDS
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
        if word["note"] == "refuse":
            raise ApplicationError("Nothing waits here.")

    @workflow.update
    async def resolve(self, word: Mapping[str, str]) -> str:
        self.words.append(("resolve", word))
        self.done = True
        return f"Recorded: {word['outcome']}."


class Order:
    def __init__(self, client: Client, order_id: str, queue: str) -> None:
        self.client, self.order_id, self.queue = client, order_id, queue
        self.handle = client.get_workflow_handle(workflow_id(order_id))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TEMPORAL_ADDRESS": self.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.client.namespace,
            "TOPUP_TASK_QUEUE": self.queue,
        }

    async def topup(self, *arguments: str):
        return await asyncio.to_thread(topup, "orders", *arguments, environment=self.environment)


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


@pytest.mark.slow
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
    assert f"trace: {trace_id(order.order_id)}" in done.stdout


@pytest.mark.slow
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


@pytest.mark.slow
async def test_a_refused_update_prints_the_sentence_only_and_ends_with_1(order):
    async with worker(order):
        done = await order.topup("retry", order.order_id, "--note", "refuse")
        as_json = await order.topup("retry", order.order_id, "--note", "refuse", "--json")
    assert (done.returncode, said(done)) == (1, "topup: Nothing waits here.\n")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout) == {"order_id": order.order_id, "ok": False, "says": "Nothing waits here."}


@pytest.mark.slow
async def test_a_cancel_reaches_the_run_and_a_second_one_says_that_nothing_is_open(order):
    async with worker(order):
        done = await order.topup("cancel", order.order_id, "--note", "customer called")
        assert done.returncode == 0
        assert await order.handle.result() == [["cancelled", {}]]
    done = await order.topup("cancel", order.order_id)
    assert done.returncode == 1
    assert "completed; a cancel would change nothing" in said(done)
    done = await order.topup("retry", order.order_id)
    assert done.returncode == 1
    assert f"The run of order {order.order_id} is closed" in said(done)


@pytest.mark.slow
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


# --- several orders, and batches ------------------------------------------------------------------------------------


async def started(order: Order, count: int) -> list[str]:
    """More orders on the same queue, seen by visibility."""
    names = [f"{order.order_id}-{number}" for number in range(count)]
    for name in names:
        attributes = [SearchAttributePair(steps.STATUS, "in_doubt"), SearchAttributePair(steps.PACKAGE, order.order_id)]
        await order.client.start_workflow(
            steps.TOP_UP_ORDER,
            name,
            id=workflow_id(name),
            task_queue=order.queue,
            search_attributes=TypedSearchAttributes(attributes),
        )
    for _ in range(int(10 * WAIT_SECONDS)):
        if (
            await order.client.count_workflows(f'TaskQueue = "{order.queue}" AND TopUpStatus = "in_doubt"')
        ).count == count:
            return names
        await asyncio.sleep(0.1)
    raise TimeoutError


IN_DOUBT = ("--query", 'TopUpStatus = "in_doubt"')


@pytest.mark.slow
async def test_a_batch_by_query_is_looked_at_confirmed_by_its_count_and_hits_nothing_else(order):
    names = await started(order, 12)

    looked = await order.topup("retry", *IN_DOUBT, "--dry-run", "--json")
    assert looked.returncode == 0
    assert {one["order_id"] for one in json.loads(looked.stdout)} == set(names)
    unconfirmed = await order.topup("retry", *IN_DOUBT)
    assert unconfirmed.returncode == 2
    assert "--yes 12" in said(unconfirmed)
    wrong = await order.topup("retry", *IN_DOUBT, "--yes", "11")
    assert wrong.returncode == 1
    assert "12 orders match now, and --yes says 11: nothing was done" in said(wrong)

    async with worker(order):
        done = await order.topup("retry", *IN_DOUBT, "--yes", "12", "--json")
        assert done.returncode == 0, said(done)
        answer = json.loads(done.stdout)
        assert (answer["ok"], answer["done"], answer["refused"]) == (True, 12, 0)
        assert {one["order_id"] for one in answer["orders"]} == set(names)
        resolved = await order.topup("resolve", *IN_DOUBT, "--yes", "12", "--outcome", "delivered", "--note", "4711")
        assert "12 done: Recorded: delivered." in resolved.stdout
        for name in names:
            words = await order.client.get_workflow_handle(workflow_id(name)).result()
            assert [kind for kind, _ in words] == ["retry_now", "resolve"]
    assert (await order.handle.describe()).status == 1, "the parked order matches no such query"


@pytest.mark.slow
async def test_a_query_never_reaches_another_deployments_orders_or_closed_ones(order):
    other = Order(order.client, f"{order.order_id}x", f"other-{order.order_id}")
    attributes = TypedSearchAttributes([SearchAttributePair(steps.PACKAGE, order.order_id)])
    for mine, queue in ((other, other.queue), (Order(order.client, f"{order.order_id}y", order.queue), order.queue)):
        await order.client.start_workflow(
            steps.TOP_UP_ORDER,
            mine.order_id,
            id=workflow_id(mine.order_id),
            task_queue=queue,
            search_attributes=attributes,
        )
    await order.client.get_workflow_handle(workflow_id(f"{order.order_id}y")).terminate()
    assert await listed(order)

    for query in (f'TopUpPackage = "{order.order_id}"', f'TopUpStatus = "x") OR (TopUpPackage = "{order.order_id}"'):
        await asyncio.sleep(0.5)
        done = await order.topup("retry", "--query", query, "--dry-run", "--json")
        assert [one["order_id"] for one in json.loads(done.stdout)] == [order.order_id], query
    await other.handle.terminate()


async def test_several_named_orders_each_have_their_own_answer(order):
    [name] = await started(order, 1)
    async with worker(order):
        done = await order.topup("resolve", name, "T404404", name, "--outcome", "delivered", "--note", "4711", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert [(one["order_id"], one["ok"]) for one in answer["orders"]] == [("T404404", False), (name, True)] or [
        (one["order_id"], one["ok"]) for one in answer["orders"]
    ] == [(name, True), ("T404404", False)]


async def test_a_batch_that_nobody_answers_is_given_up_and_says_so():
    async def unanswered(order_id: str) -> str:
        await asyncio.sleep(0)
        raise NobodyAnswers(f"No worker answered for {order_id}.")

    batch = Batch([f"T{number:06}" for number in range(500)], unanswered)
    await batch.run()
    assert len(batch.results) == 500
    tried = [one for one in batch.results if "not tried" not in one.says]
    assert 3 <= len(tried) <= 3 + AT_ONCE


async def test_a_refused_order_ends_no_batch():
    async def odd_ones(order_id: str) -> str:
        if int(order_id[1:]) % 2 == 0:
            raise CommandFailed("Nothing waits here.")
        return "Done."

    batch = Batch([f"T{number:06}" for number in range(50)], odd_ones)
    await batch.run()
    assert sum(one.ok for one in batch.results) == 25


async def test_ctrl_c_ends_a_batch_with_what_was_done(order):
    await started(order, 3)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored, for good
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "console",
        "orders",
        "retry",
        *IN_DOUBT,
        "--yes",
        "3",
        env=os.environ | order.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    signal.signal(signal.SIGINT, heard)
    assert process.stderr is not None
    while b"3 orders, " not in await asyncio.wait_for(process.stderr.readline(), WAIT_SECONDS):
        pass
    await asyncio.sleep(1)  # without a worker the updates are taken in and stay unanswered
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 130
    assert b"0 done, 0 not done" in out
    assert b"interrupted: 0 of 3 orders have an answer" in err
    assert b"Traceback" not in err
